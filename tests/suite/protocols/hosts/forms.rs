//! How each tool requests a credential for a URL: the invocations of its protocol.

use my_credential_helper::model::Invocation;
use my_credential_helper::protocols::{Tool, run};
use serde_json::json;

/// One form of a request.
pub(super) struct Form {
    /// The name in the exceptions of the corpus.
    pub(super) name: &'static str,
    tool: &'static str,
    /// Whether the tool names a host without a scheme.
    pub(super) is_host_alone: bool,
    /// Whether the tool requests only https.
    pub(super) is_https_alone: bool,
    invocation: fn(&str) -> Invocation,
}

impl Form {
    pub(super) fn tool(&self) -> &'static Tool {
        run::tool(self.tool).expect("a protocol of that name")
    }

    pub(super) fn invocation(&self, url: &str) -> Invocation {
        (self.invocation)(url)
    }
}

type Build = fn(&str) -> Invocation;

const fn form(name: &'static str, tool: &'static str, invocation: Build) -> Form {
    Form { name, tool, is_host_alone: false, is_https_alone: false, invocation }
}

const fn host_form(name: &'static str, tool: &'static str, invocation: Build) -> Form {
    Form { is_host_alone: true, ..form(name, tool, invocation) }
}

/// Every form. pnpm has none: it does not name the registry.
pub(super) const ALL: &[Form] = &[
    form("json", "json", |url| input(&["get"], json!({ "url": url }).to_string())),
    form("json arguments", "json", |url| input(&["get", "--format", "raw", "--url", url], "")),
    form("git", "git", |url| input(&["get"], format!("url={url}\n\n"))),
    form("git parts", "git", |url| input(&["get"], git_parts(url, str::to_owned))),
    form("git decoded", "git", |url| input(&["get"], git_parts(url, decoded))),
    form("docker", "docker", |url| input(&["get"], url)),
    host_form("docker host", "docker", |url| input(&["get"], authority(url))),
    form("bazel", "bazel", |url| input(&["get"], json!({ "uri": url }).to_string())),
    form("cargo", "cargo", |url| input(&["--cargo-plugin"], cargo(url))),
    form("cargo sparse", "cargo", |url| {
        input(&["--cargo-plugin"], cargo(&format!("sparse+{url}")))
    }),
    form("kubectl", "kubectl", kubectl),
    host_form("terraform", "terraform", |url| input(&["get", authority(url)], "")),
    Form {
        is_https_alone: true,
        ..form("goauth", "goauth", |url| input(&[url], "HTTP/1.1 404 Not Found\n\n"))
    },
    form("keyring", "keyring", |url| input(&["--mode=creds", "--output=json", "get", url], "")),
    host_form("keyring host", "keyring", |url| input(&["--mode=creds", "get", authority(url)], "")),
];

fn input(arguments: &[&str], input: impl Into<Vec<u8>>) -> Invocation {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Invocation { arguments, input: input.into().into(), ..Invocation::default() }
}

fn cargo(index_url: &str) -> String {
    let registry = json!({ "index-url": index_url, "headers": [] });
    json!({ "v": 1, "registry": registry, "kind": "get", "operation": "read" }).to_string() + "\n"
}

fn kubectl(url: &str) -> Invocation {
    let info = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": { "interactive": false, "cluster": { "server": url } },
    });
    Invocation {
        variables: [("KUBERNETES_EXEC_INFO", info.to_string())].into(),
        ..Invocation::default()
    }
}

/// The simplest parser of a URL, as another program may have it.
fn parts(url: &str) -> (&str, &str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    (scheme, authority, path.strip_prefix('/').unwrap_or(path))
}

fn authority(url: &str) -> &str {
    parts(url).1
}

/// The attributes that git sends; an old git also decoded a newline (CVE-2020-5260).
fn git_parts(url: &str, part: fn(&str) -> String) -> String {
    let (scheme, authority, path) = parts(url);
    format!("protocol={}\nhost={}\npath={}\n\n", part(scheme), part(authority), part(path))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let hex = (*first == b'%')
            .then(|| others.get(..2))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
