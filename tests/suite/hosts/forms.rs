//! How each tool would ask for a URL: what its adapter is called with.

use std::collections::HashMap;

use my_credential_helper::protocols::{self, Invocation, Tool};
use serde_json::json;

/// One way to ask.
pub(super) struct Form {
    /// What the corpus calls it, where a case has an exception for it.
    pub(super) name: &'static str,
    adapter: &'static str,
    /// Whether the tool names a host, and no scheme.
    pub(super) is_host_alone: bool,
    /// Whether the tool asks for https only.
    pub(super) is_https_alone: bool,
    ask: fn(&str) -> Invocation,
}

impl Form {
    pub(super) fn adapter(&self) -> &'static Tool {
        protocols::ALL
            .iter()
            .find(|adapter| adapter.name == self.adapter)
            .expect("an adapter of that name")
    }

    pub(super) fn call(&self, url: &str) -> Invocation {
        (self.ask)(url)
    }
}

const fn form(name: &'static str, adapter: &'static str, ask: fn(&str) -> Invocation) -> Form {
    Form { name, adapter, is_host_alone: false, is_https_alone: false, ask }
}

const fn host_form(name: &'static str, adapter: &'static str, ask: fn(&str) -> Invocation) -> Form {
    Form { is_host_alone: true, ..form(name, adapter, ask) }
}

/// Every way to ask for a place. pnpm has none: it is told nothing of the registry.
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
    Invocation { arguments, input: input.into().into(), variables: HashMap::new() }
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

/// The simplest reading of a URL, which whoever connects may have.
fn parts(url: &str) -> (&str, &str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    (scheme, authority, path.strip_prefix('/').unwrap_or(path))
}

fn authority(url: &str) -> &str {
    parts(url).1
}

/// As git sends it; old ones decoded a newline, too (CVE-2020-5260).
fn git_parts(url: &str, read: fn(&str) -> String) -> String {
    let (scheme, authority, path) = parts(url);
    format!("protocol={}\nhost={}\npath={}\n\n", read(scheme), read(authority), read(path))
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
