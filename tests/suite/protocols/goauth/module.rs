//! What a module proxy serves for one version of one module (go.dev/ref/mod#goproxy-protocol).

use crate::support::zip::zip;

/// The module.
pub(super) const NAME: &str = "acme.dev/hello";
const VERSION: &str = "v1.0.0";
const GO_MOD: &str = "module acme.dev/hello\n\ngo 1.20\n";

/// The file at this path, if any.
pub(super) fn file(path: &str) -> Option<Vec<u8>> {
    let name = path.strip_prefix('/')?.strip_prefix(NAME)?.strip_prefix("/@v/")?;
    match name {
        "list" => Some(format!("{VERSION}\n").into_bytes()),
        "v1.0.0.info" => {
            Some(format!(r#"{{"Version":"{VERSION}","Time":"2026-01-01T00:00:00Z"}}"#).into_bytes())
        }
        "v1.0.0.mod" => Some(GO_MOD.as_bytes().to_vec()),
        "v1.0.0.zip" => {
            let files = [("go.mod", GO_MOD), ("hello.go", "package hello\n")];
            Some(zip(&files.map(|(name, text)| (format!("{NAME}@{VERSION}/{name}"), text))))
        }
        _ => None,
    }
}
