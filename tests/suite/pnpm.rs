//! pnpm against a registry that lets in nobody without a Bearer token.

use std::process::Command;

use account_server::Server;
use base64::Engine as _;
use serde_json::json;
use sha2::{Digest as _, Sha512};

use crate::support::gate::{Gate, Request, issued_by};
use crate::support::{HELPER, Home, Outcome, finish, has_client, service, spawn};

/// A registry that has `@my/hello` and takes what the service issued. `None` where pnpm is not installed.
fn registry(server: &Server) -> Option<Gate> {
    if !has_client("pnpm") {
        return None;
    }
    let package = package();
    let integrity = base64::engine::general_purpose::STANDARD.encode(Sha512::digest(&package));
    let answers = move |request: &Request| {
        if request.path.ends_with("hello-1.0.0.tgz") {
            return Some(package.clone());
        }
        let tarball = format!("http://{}/@my/hello/-/hello-1.0.0.tgz", request.address);
        let dist = json!({ "tarball": tarball, "integrity": format!("sha512-{integrity}") });
        let version = json!({ "name": "@my/hello", "version": "1.0.0", "dist": dist });
        let about =
            json!({ "name": "@my/hello", "dist-tags": { "latest": "1.0.0" }, "versions": { "1.0.0": version } });
        let is_hello = request.path.replace("%2f", "/").replace("%2F", "/") == "/@my/hello";
        is_hello.then(|| about.to_string().into())
    };
    Some(Gate::start("Bearer", issued_by(server), Box::new(answers)))
}

/// A package with nothing but its description.
fn package() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("package")).unwrap();
    let description = json!({ "name": "@my/hello", "version": "1.0.0" });
    std::fs::write(folder.path().join("package/package.json"), description.to_string()).unwrap();
    let output = Command::new("tar").args(["-cz", "package"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Lets pnpm ask the helper for this registry, and gives it a project.
fn configure(home: &mut Home, registry: &Gate) {
    let link = home.link("my-token-helper");
    let text = include_str!("../../integrations/pnpm/npmrc")
        .replace("https://npm.mycli.sh", &format!("http://{}", registry.address))
        .replace("//npm.mycli.sh", &format!("//{}", registry.address))
        .replace("/usr/local/bin/my-token-helper", &link.display().to_string());
    home.write(".npmrc", &text);
    home.write("project/package.json", &json!({ "name": "project", "version": "1.0.0" }).to_string());
    home.set("CI", "1");
}

fn add(home: &Home) -> Outcome {
    let mut command = home.command("pnpm");
    command.args(["add", "@my/hello"]).current_dir(home.path().join("project"));
    finish(spawn(command), b"")
}

#[test]
fn a_stale_session_is_refreshed_for_pnpm() {
    let server = service();
    let Some(registry) = registry(&server) else { return };
    let (mut home, session) = Home::with_stale_session(&server);
    server.revoke_access(&session.access_token);
    configure(&mut home, &registry);
    let outcome = add(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(home.read("project/node_modules/@my/hello/package.json").is_some());
    assert!(registry.saw("hello-1.0.0.tgz let in"), "{:?}", registry.seen());
    assert_eq!(server.refresh_requests(), 1);
}

#[test]
fn a_token_that_the_registry_refuses_fails_and_the_login_stays() {
    let server = service();
    let Some(registry) = registry(&server) else { return };
    let (mut home, session) = Home::logged_in(&server);
    server.revoke_access(&session.access_token);
    configure(&mut home, &registry);
    assert_ne!(add(&home).status, 0);
    assert!(registry.saw("refused") && !registry.saw("let in"), "{:?}", registry.seen());
    assert!(home.session().is_some());
}

#[test]
fn pnpm_fails_where_nobody_is_logged_in() {
    let server = service();
    let Some(registry) = registry(&server) else { return };
    let mut home = Home::at(&server);
    configure(&mut home, &registry);
    let outcome = add(&home);
    assert_ne!(outcome.status, 0);
    assert!(home.read("project/node_modules/@my/hello/package.json").is_none());
    assert!(registry.seen().iter().all(|line| line.ends_with("refused")), "{:?}", registry.seen());
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../integrations/pnpm/README.md");
    assert!(readme.contains(include_str!("../../integrations/pnpm/npmrc")), "the README quotes what is tested");
    let server = service();
    let Some(registry) = registry(&server) else { return };
    let mut home = Home::new();
    home.set("HELPER", HELPER);
    home.set("REGISTRY", &registry.address);
    home.set("TOKEN", server.api_token("me@acme.dev", "test").unwrap().token);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/integrations/pnpm/test.sh");
    let outcome = finish(spawn(home.command(script)), b"");
    assert_eq!((outcome.status, &*outcome.output), (0, "accepted\nrefused\n"), "{}", outcome.messages);
}
