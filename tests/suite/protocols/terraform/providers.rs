//! terraform's own providers: from a registry, with sums that are signed by a key made for it, and from a network mirror.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{answer, configure, init, is_let_in};
use crate::support::tls::{Request, Response, TlsServer};
use crate::support::zip::zip;
use crate::support::{Home, has_client, has_rare_client, service};

const FILE: &str = "terraform-provider-hello_1.0.0.zip";

/// A provider's package, ready to be offered.
struct Package {
    zip: Vec<u8>,
    sum: String,
    sums: Vec<u8>,
    signature: Vec<u8>,
    key: String,
}

impl Package {
    /// `None` where the programs are not installed.
    fn new() -> Option<Self> {
        if !has_rare_client("terraform") || !has_client("gpg") {
            return None;
        }
        // `terraform init` unpacks a provider, and does not run it.
        let zip = zip(&[("terraform-provider-hello_v1.0.0".to_owned(), "#!/bin/sh\n")]);
        let mut sum = String::new();
        Sha256::digest(&zip).iter().for_each(|byte| write!(sum, "{byte:02x}").unwrap());
        let sums = format!("{sum}  {FILE}\n").into_bytes();
        let (key, signature) = sign(&sums);
        Some(Self { zip, sum, sums, signature, key })
    }

    /// What terraform fetches without a token: it may lie on any host.
    fn file(&self, path: &str) -> Option<&[u8]> {
        match path {
            "/files/package.zip" => Some(&self.zip),
            "/files/sums" => Some(&self.sums),
            "/files/sums.sig" => Some(&self.signature),
            _ => None,
        }
    }

    /// The provider registry protocol, for whichever platform asks.
    fn described(&self, path: &str) -> Option<Value> {
        match *path.strip_prefix("/v1/providers/acme/hello/")?.split('/').collect::<Vec<_>>() {
            ["versions"] => {
                Some(json!({ "versions": [{ "version": "1.0.0", "protocols": ["5.0"] }] }))
            }
            ["1.0.0", "download", os, arch] => Some(json!({
                "protocols": ["5.0"],
                "os": os,
                "arch": arch,
                "filename": FILE,
                "download_url": "/files/package.zip",
                "shasums_url": "/files/sums",
                "shasums_signature_url": "/files/sums.sig",
                "shasum": self.sum,
                "signing_keys": { "gpg_public_keys": [{ "key_id": "", "ascii_armor": self.key }] },
            })),
            _ => None,
        }
    }
}

/// The provider network mirror protocol.
fn mirrored(path: &str) -> Option<Value> {
    match path.strip_prefix("/mirror/tf.example.com/acme/hello/")? {
        "index.json" => Some(json!({ "versions": { "1.0.0": {} } })),
        "1.0.0.json" => {
            let archive = json!({ "url": "/files/package.zip" });
            let platforms = ["linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"];
            let archives: serde_json::Map<_, _> = platforms
                .into_iter()
                .map(|platform| (platform.to_owned(), archive.clone()))
                .collect();
            Some(json!({ "archives": archives }))
        }
        _ => None,
    }
}

/// The public half of a new key, and its signature.
fn sign(text: &[u8]) -> (String, Vec<u8>) {
    let home = tempfile::tempdir().unwrap();
    let gpg = |words: &[&str]| {
        let mut command = Command::new("gpg");
        command
            .arg("--homedir")
            .arg(home.path())
            .args(["--batch", "--quiet", "--passphrase", ""])
            .args(words);
        command.stderr(Stdio::null()).output().unwrap().stdout
    };
    let sums = home.path().join("sums");
    std::fs::write(&sums, text).unwrap();
    gpg(&["--quick-generate-key", "Acme <acme@acme.dev>", "ed25519", "sign", "never"]);
    let key = String::from_utf8(gpg(&["--armor", "--export"])).unwrap();
    let signature = gpg(&["--output", "-", "--detach-sign", sums.to_str().unwrap()]);
    // It would outlive the test.
    let mut stop = Command::new("gpgconf");
    assert!(
        stop.arg("--homedir")
            .arg(home.path())
            .args(["--kill", "gpg-agent"])
            .status()
            .unwrap()
            .success()
    );
    assert!(!key.is_empty() && !signature.is_empty(), "gpg makes a key and signs");
    (key, signature)
}

/// Registry and mirror with one provider, which accept these tokens.
fn registry(tokens: &Arc<Mutex<Vec<String>>>, package: Package) -> TlsServer {
    let tokens = tokens.clone();
    TlsServer::start(move |request: &Request| {
        let path = &*request.path;
        if path == "/.well-known/terraform.json" {
            return answer(&json!({ "providers.v1": "/v1/providers/" }));
        }
        if let Some(file) = package.file(path) {
            return Response::from((200, file.to_vec()));
        }
        if !is_let_in(&tokens, request) {
            return Response::from((401, Vec::new()));
        }
        let described = package.described(path).or_else(|| mirrored(path));
        described.map_or(Response::from((404, Vec::new())), |described| answer(&described))
    })
}

/// A project that needs the provider from there.
fn need(home: &Home, host: &str) {
    let needed = format!("hello = {{\n      source = \"{host}/acme/hello\"\n    }}");
    home.write(
        "project/main.tf",
        &format!("terraform {{\n  required_providers {{\n    {needed}\n  }}\n}}\n"),
    );
}

/// Stale at the first `init`, which renews the session and is refused nevertheless; let in at the second.
fn refused_and_then_let_in(
    home: &Home,
    registry: &TlsServer,
    tokens: &Mutex<Vec<String>>,
    path: &str,
) {
    let outcome = init(home);
    assert_ne!(outcome.status, 0, "the registry knows no token: {outcome:?}");
    let renewed = home.session().unwrap()["access_token"].as_str().unwrap().to_owned();
    tokens.lock().unwrap().push(renewed);
    let outcome = init(home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.output.contains("Installed"), "{outcome:?}");
    assert_eq!(
        registry.statuses(path),
        [401, 200, 200],
        "every call of the protocol shows the token"
    );
    let is_shown = |(request, _): &(Request, u16)| !request.header("authorization").is_empty();
    let mut shown = registry.seen().into_iter().filter(is_shown);
    assert!(
        shown.all(|(request, _)| !request.path.starts_with("/files/")),
        "a package may lie on any host"
    );
}

#[test]
fn init_installs_a_provider_from_a_registry_with_auth() {
    let Some(package) = Package::new() else { return };
    let service = service();
    let (mut home, _) = Home::with_stale_session(&service);
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let registry = registry(&tokens, package);
    configure(&mut home, &registry, &format!("'{}'", registry.address));
    need(&home, &registry.address);
    refused_and_then_let_in(&home, &registry, &tokens, "/v1/providers/");
    assert_eq!(registry.statuses("/files/sums.sig"), [200], "the signature was looked at");
    assert_eq!(service.refresh_requests(), 1);
}

#[test]
fn init_installs_a_provider_from_a_mirror_with_auth() {
    let Some(package) = Package::new() else { return };
    let service = service();
    let (mut home, _) = Home::with_stale_session(&service);
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let registry = registry(&tokens, package);
    configure(&mut home, &registry, &format!("'{}'", registry.address));
    need(&home, "tf.example.com");
    let mirror = format!("https://{}/mirror/", registry.address);
    let installation = format!(
        "provider_installation {{\n  network_mirror {{\n    url = \"{mirror}\"\n  }}\n}}\n"
    );
    let configuration = include_str!("../../../../integrations/terraform/terraformrc");
    home.write(".terraformrc", &format!("{configuration}{installation}"));
    refused_and_then_let_in(&home, &registry, &tokens, "/mirror/");
    assert_eq!(service.refresh_requests(), 1);
}
