//! The credentials helper with the real terraform, against a registry that rejects requests without a token.

mod providers;

use std::io::{Read as _, Write as _};
use std::process::Child;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::secret_service::SecretService;
use crate::support::tls::{Request, Response, TlsServer};
use crate::support::zip::zip;
use crate::support::{
    HELPER, Home, Outcome, check_integration, finish, has_rare_client, service, spawn,
};

fn is_let_in(tokens: &Mutex<Vec<String>>, request: &Request) -> bool {
    let shown = request.header("authorization");
    tokens.lock().unwrap().iter().any(|token| shown == format!("Bearer {token}"))
}

fn answer(value: &Value) -> Response {
    Response::from((200, value.to_string().into_bytes()))
}

/// A registry with one module, which accepts these tokens.
fn registry(tokens: &Arc<Mutex<Vec<String>>>) -> TlsServer {
    let tokens = tokens.clone();
    TlsServer::start(move |request: &Request| match &*request.path {
        "/.well-known/terraform.json" => {
            answer(&json!({ "modules.v1": "/v1/modules/", "tfe.v2": "/api/v2/" }))
        }
        "/module.zip" => Response::from((
            200,
            zip(&[("main.tf".to_owned(), "output \"hello\" {\n  value = 1\n}\n")]),
        )),
        _ if !is_let_in(&tokens, request) => Response::from((401, Vec::new())),
        "/v1/modules/acme/hello/test/versions" => {
            answer(&json!({ "modules": [{ "versions": [{ "version": "1.0.0" }] }] }))
        }
        "/v1/modules/acme/hello/test/1.0.0/download" => Response {
            status: 204,
            header: Some("X-Terraform-Get: /module.zip".to_owned()),
            body: Vec::new(),
        },
        "/api/v2/account/details" => answer(
            &json!({ "data": { "id": "user-1", "type": "users", "attributes": { "username": "ada" } } }),
        ),
        _ => Response::from((404, Vec::new())),
    })
}

/// terraform with the configuration of the README, and a project that needs the module.
fn configure(home: &mut Home, registry: &TlsServer, hosts: &str) {
    home.write(".terraform.d/plugins/.keep", "");
    std::os::unix::fs::symlink(
        HELPER,
        home.path().join(".terraform.d/plugins/terraform-credentials-my"),
    )
    .unwrap();
    let configuration = include_str!("../../../../integrations/terraform/terraformrc");
    home.set("TF_CLI_CONFIG_FILE", home.write(".terraformrc", configuration));
    home.set("SSL_CERT_FILE", home.write("ca.pem", &registry.certificate));
    home.set("SSL_CERT_DIR", "/nonexistent");
    home.set("CHECKPOINT_DISABLE", "1");
    let module =
        format!("module \"hello\" {{\n  source = \"{}/acme/hello/test\"\n}}\n", registry.address);
    home.write("project/main.tf", &module);
    home.write(
        ".config/my-credential-helper/config.toml",
        &format!("[providers.mycli]\nhosts = [{hosts}]\n"),
    );
}

fn start(home: &Home, words: &[&str]) -> Child {
    let mut command = home.command("terraform");
    command.arg(format!("-chdir={}", home.path().join("project").display())).args(words);
    spawn(command)
}

fn terraform(home: &Home, words: &[&str]) -> Outcome {
    finish(start(home, words), b"")
}

/// `terraform login`, with this token brought from the registry's page.
fn log_in(home: &Home, registry: &TlsServer, token: &str) -> Outcome {
    let mut child = start(home, &["login", &registry.address]);
    child.stdin.as_mut().unwrap().write_all(b"yes\n").unwrap();
    // Each question is read with a buffer of its own, which would swallow the next answer.
    let (mut output, mut seen) = (child.stdout.take().unwrap(), Vec::new());
    let mut byte = [0];
    while !seen.ends_with(b"Token for ") && output.read(&mut byte).unwrap() == 1 {
        seen.extend(byte);
    }
    let reader = std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
    let outcome = finish(child, format!("{token}\n").as_bytes());
    reader.join().unwrap().unwrap();
    outcome
}

/// `terraform init` in a project that has never been initialised.
fn init(home: &Home) -> Outcome {
    let _ = std::fs::remove_dir_all(home.path().join("project/.terraform"));
    terraform(home, &["init", "-no-color"])
}

#[test]
fn init_fetches_a_module_and_refreshes_a_stale_session() {
    if !has_rare_client("terraform") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::with_stale_session(&service);
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let registry = registry(&tokens);
    configure(&mut home, &registry, &format!("'{}'", registry.address));
    let outcome = init(&home);
    assert_ne!(outcome.status, 0, "the registry knows no token: {outcome:?}");
    assert_eq!(service.refresh_requests(), 1);
    let renewed = home.session().unwrap()["access_token"].as_str().unwrap().to_owned();
    assert_ne!(renewed, session.access_token);
    tokens.lock().unwrap().push(renewed);
    let outcome = init(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");

    let outcome = terraform(&home, &["logout", &registry.address]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(home.session().is_some(), "terraform's logout is no logout");
    assert_eq!(init(&home).status, 0);
}

#[test]
fn no_other_registry_is_given_the_token() {
    if !has_rare_client("terraform") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::logged_in(&service);
    let registry = registry(&Arc::new(Mutex::new(vec![session.access_token])));
    configure(&mut home, &registry, "'tf.acme.dev'");
    assert_ne!(init(&home).status, 0);
    assert!(registry.seen().iter().all(|(request, _)| request.header("authorization").is_empty()));
}

#[test]
fn terraform_login_stores_and_terraform_logout_erases() {
    if !has_rare_client("terraform") {
        return;
    }
    let mut home = Home::new();
    let registry = registry(&Arc::new(Mutex::new(vec!["tfe-1".to_owned()])));
    configure(&mut home, &registry, "");
    assert_ne!(init(&home).status, 0);
    let outcome = log_in(&home, &registry, "tfe-1");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(home.read(".terraform.d/credentials.tfrc.json").is_none(), "terraform has no copy");
    let outcome = init(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");

    let outcome = terraform(&home, &["logout", &registry.address]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_ne!(init(&home).status, 0);
}

#[test]
fn terraform_login_and_logout_use_the_keyring() {
    if !has_rare_client("terraform") {
        return;
    }
    let Some(keyring) = SecretService::start() else { return };
    let registry = registry(&Arc::new(Mutex::new(vec!["tfe-1".to_owned()])));
    let mut home = Home::new();
    home.use_keyring(&keyring);
    configure(&mut home, &registry, "");
    let outcome = log_in(&home, &registry, "tfe-1");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(keyring.login().unwrap().contains("tfe-1"));
    assert!(!home.login_files_hold("tfe-1"), "no file has it");
    let outcome = init(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let outcome = terraform(&home, &["logout", &registry.address]);
    assert_eq!((outcome.status, keyring.login()), (0, None), "{outcome:?}");
    assert_ne!(init(&home).status, 0);
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../../integrations/terraform/README.md");
    let configuration = include_str!("../../../../integrations/terraform/terraformrc");
    assert!(readme.contains(configuration), "the README quotes what is tested");
    if !has_rare_client("terraform") {
        return;
    }
    let registry = registry(&Arc::new(Mutex::new(vec!["myc_right".to_owned()])));
    let mut home = Home::new();
    home.set("SERVER", &registry.address);
    home.set("AUTHORITY", home.write("ca.pem", &registry.certificate));
    home.set("MODULE", "acme/hello/test");
    home.set("TOKEN", "myc_right");
    check_integration(home, "terraform");
}

#[test]
fn terraform_works_after_setup() {
    if !has_rare_client("terraform") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::logged_in(&service);
    let registry = registry(&Arc::new(Mutex::new(vec![session.access_token.clone()])));
    configure(&mut home, &registry, "");
    home.write(".terraformrc", "# mine\n");
    std::fs::remove_file(home.path().join(".terraform.d/plugins/terraform-credentials-my"))
        .unwrap();
    assert_ne!(init(&home).status, 0);
    home.set_up("terraform", &registry.address);
    let outcome = init(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
}
