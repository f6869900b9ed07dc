//! Real services that exchange the identity of a job: OpenBao, and npm's `oidc-provider` with keys of the client.

use std::process::Command;

use serde_json::json;

use crate::support::job::{AUDIENCE, claims};
use crate::support::oidc::Oidc;
use crate::support::openbao::OpenBao;
use crate::support::{Home, has_client};

#[test]
fn openbao_gives_a_job_a_token_for_its_secret() {
    let Some(bao) = OpenBao::start() else { return };
    bao.accept_identities("", AUDIENCE);
    bao.write("sys/namespaces/team", &json!({}));
    bao.write("team/sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } }));
    bao.accept_identities("team/", AUDIENCE);
    let identity = bao.issue_identities(AUDIENCE);
    let configure = |home: &Home, role: &str| {
        let (role, namespace) = match role {
            "team" => ("deploy", "namespace = \"team\"\n"),
            role => (role, ""),
        };
        let text = format!(
            "provider = \"bao\"\n[providers.bao]\nkind = \"api_key\"\napi_url = \"{}\"\ntoken_variable = \"BAO_TOKEN\"\n\
             header = \"X-Vault-Token\"\n[providers.bao.identity]\nsource = \"variable\"\nvariable = \"BAO_ID_TOKEN\"\n\
             audience = \"{AUDIENCE}\"\nexchange = \"vault\"\nmount = \"ci\"\nrole = \"{role}\"\n{namespace}",
            bao.url
        );
        home.write(".config/my-credential-helper/config.toml", &text);
    };
    let mut home = Home::new();
    configure(&home, "deploy");
    home.set("BAO_ID_TOKEN", identity());
    let outcome = home.run(&["get", "--url", &bao.url]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let answer = outcome.json();
    assert_eq!(answer["source"], "identity");
    let token = answer["headers"]["X-Vault-Token"][0].as_str().unwrap();
    assert_eq!(bao.read(token, "secret/data/deploy")["data"]["data"]["key"], "found");
    let lookup = bao.read(token, "auth/token/lookup-self");
    assert_eq!(lookup["data"]["path"], "auth/ci/login");
    assert_eq!(home.snapshot().keys().filter(|path| path.ends_with(".my/device_id")).count(), 0);

    configure(&home, "team");
    let outcome = home.run(&["get", "--format", "raw", "--url", &bao.url]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let found = bao.read(outcome.output.trim(), "team/secret/data/deploy");
    assert_eq!(found["data"]["data"]["key"], "found", "{found}");

    // The end of the job: in either namespace, the server accepts the token no longer.
    let folder = tempfile::tempdir().unwrap();
    home.set("RUNNER_TEMP", folder.path());
    for (role, path) in [("deploy", ""), ("team", "team/")] {
        configure(&home, role);
        let token = home.run(&["get", "--format", "raw", "--url", &bao.url]).output;
        bao.read(token.trim(), &format!("{path}auth/token/lookup-self"));
        let outcome = home.run(&["logout", "--json"]);
        assert_eq!(outcome.json()["revoked"], true, "{role}: {outcome:?}");
        let url = format!("{}/v1/{path}auth/token/lookup-self", bao.url);
        let refused = ureq::get(url).header("X-Vault-Token", token.trim()).call();
        assert!(matches!(refused, Err(ureq::Error::StatusCode(403))), "{role}: {refused:?}");
    }

    // A role for another subject.
    configure(&home, "other");
    let outcome = home.run(&["get", "--url", &bao.url]);
    assert_eq!(outcome.status, 4, "{outcome:?}");
    for words in [
        "cannot exchange the identity token of variable",
        "invalid subject (sub) claim",
        "claims, not verified",
    ] {
        assert!(outcome.messages.contains(words), "{words}: {outcome:?}");
    }
    let token = identity();
    assert!(!outcome.messages.contains(&token[..30]), "{outcome:?}");
}

/// Makes a private key and its public JWK, with OpenSSL and node.
fn key(folder: &std::path::Path, algorithm: &str) -> (String, serde_json::Value) {
    let file = folder.join(format!("{algorithm}.pem"));
    let options: &[&str] = match algorithm {
        "ES256" => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "EdDSA" => &["ED25519"],
        _ => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    };
    let made = Command::new("openssl")
        .args(["genpkey", "-out"])
        .arg(&file)
        .arg("-algorithm")
        .args(options)
        .output();
    assert!(made.unwrap().status.success());
    let script = "const k=require('crypto').createPublicKey(require('fs').readFileSync(process.argv[1]));\
                  console.log(JSON.stringify(k.export({format:'jwk'})))";
    let jwk = Command::new("node").args(["-e", script]).arg(&file).output().unwrap();
    let mut jwk: serde_json::Value = serde_json::from_slice(&jwk.stdout).unwrap();
    jwk["alg"] = algorithm.into();
    jwk["kid"] = "key-1".into();
    (file.display().to_string(), jwk)
}

#[test]
fn a_client_assertion_is_signed_with_each_algorithm() {
    if !has_client("openssl") || !has_client("node") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let (file, jwk) = key(folder.path(), algorithm);
        let Some(oidc) = Oidc::start() else { return };
        let client = oidc.register_key(&jwk, algorithm);
        let identity = |algorithm: &str| {
            format!(
                "client_id = \"{client}\"\nhosts = [\"git.acme.dev\"]\n[providers.acme.identity]\nsource = \"private-key\"\n\
                 private_key_file = \"{file}\"\nalgorithm = \"{algorithm}\"\nkey_id = \"key-1\"\n\
                 audience = \"{}\"\nexchange = \"client-assertion\"",
                oidc.url
            )
        };
        let home = oidc.home(&identity(algorithm));
        let get =
            |home: &Home| home.run(&["get", "--format", "raw", "--url", "https://git.acme.dev/"]);
        let outcome = get(&home);
        assert_eq!(outcome.status, 0, "{algorithm}: {outcome:?}");
        assert!(oidc.is_active(outcome.output.trim()), "{algorithm}");
        let again = get(&home);
        assert!(again.status == 0 && again.output != outcome.output, "a new `jti`: {again:?}");
        let assertion = oidc.last_assertion();
        let (header, body) = (header(&assertion), claims(&assertion));
        assert_eq!(
            (&header["typ"], &header["alg"]),
            (&"client-authentication+jwt".into(), &algorithm.into())
        );
        assert_eq!(body["aud"], oidc.url);
        assert_eq!(body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap(), 60);
        let wrong = if algorithm == "ES256" { "RS256" } else { "ES256" };
        let outcome = get(&oidc.home(&identity(wrong)));
        let words = format!("the private key of acme is not a key for {wrong}");
        assert!(outcome.messages.contains(&words), "{outcome:?}");
    }
}

fn header(token: &str) -> serde_json::Value {
    claims(&format!(".{token}"))
}
