//! Every test that `protocol/PROMISES.md` names exists.

use std::path::Path;

/// All of the source below a directory.
fn source(directory: &Path) -> String {
    let entries = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    let text = |path: std::path::PathBuf| {
        if path.is_dir() {
            source(&path)
        } else {
            std::fs::read_to_string(&path).unwrap_or_default()
        }
    };
    entries.map(text).collect()
}

#[test]
fn every_test_named_by_the_page_of_promises_exists() {
    let page = include_str!("../../../protocol/PROMISES.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source =
        ["tests/suite", "tests/fleet-model", "src"].map(|it| source(&root.join(it))).concat();
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let named: Vec<_> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 40, "{named:?}");
    for name in named {
        let is_there = ["#[test]\nfn", "#[test]\n    fn"]
            .iter()
            .any(|start| source.contains(&format!("{start} {name}()")));
        assert!(is_there, "no test is called {name}");
    }
}
