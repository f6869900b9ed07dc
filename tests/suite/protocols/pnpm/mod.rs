//! pnpm 9, 10 and 12 against Verdaccio, which requires a token of the account service; and npm, which gets the token
//! in a variable.

pub(crate) mod verdaccio;

use account_server::Server;
use serde_json::json;

use crate::support::{HELPER, Home, Outcome, check_integration, finish, service, spawn};
use verdaccio::Verdaccio;

/// By the names that `.ci/run` gives them.
const VERSIONS: [&str; 3] = ["pnpm9", "pnpm10", "pnpm12"];

/// Lets pnpm ask the helper for this registry, and gives it a package to publish and two projects that may need it.
fn configure(home: &mut Home, registry: &Verdaccio, package: &str) {
    let link = home.link("my-token-helper");
    let text = include_str!("../../../../integrations/pnpm/npmrc")
        .replace("https://npm.mycli.sh", &format!("http://{}", registry.address))
        .replace("//npm.mycli.sh", &format!("//{}", registry.address))
        .replace("/usr/local/bin/my-token-helper", &link.display().to_string());
    home.write(".npmrc", &text);
    home.write("package/package.json", &json!({ "name": package, "version": "1.0.0" }).to_string());
    for project in ["project", "another"] {
        home.write(
            &format!("{project}/package.json"),
            &json!({ "name": project, "version": "1.0.0" }).to_string(),
        );
    }
    home.set("CI", "1");
    // Neither asks npm's own registry whether there is something newer.
    home.set("NPM_CONFIG_UPDATE_NOTIFIER", "false");
}

fn run_in(home: &Home, folder: &str, line: &[&str]) -> Outcome {
    let mut command = home.command(line[0]);
    command.args(&line[1..]).current_dir(home.path().join(folder));
    finish(spawn(command), b"")
}

#[test]
fn every_pnpm_publishes_and_installs_with_the_session() {
    let server = service();
    let Some(registry) = Verdaccio::start(&server, &VERSIONS) else { return };
    std::thread::scope(|scope| {
        for pnpm in VERSIONS {
            let (server, registry) = (&server, &registry);
            scope.spawn(move || publishes_and_installs(pnpm, server, registry));
        }
    });
    assert_eq!(server.refresh_requests(), VERSIONS.len(), "one each");
}

fn publishes_and_installs(pnpm: &str, server: &Server, registry: &Verdaccio) {
    let (mut home, session) = Home::with_stale_session(server);
    server.revoke_access(&session.access_token);
    let package = format!("@my/{pnpm}");
    configure(&mut home, registry, &package);
    let outcome = run_in(&home, "package", &[pnpm, "publish", "--no-git-checks"]);
    assert_eq!(outcome.status, 0, "{pnpm}: {outcome:?}");
    let outcome = run_in(&home, "project", &[pnpm, "add", &package]);
    assert_eq!(outcome.status, 0, "{pnpm}: {outcome:?}");
    let installed = format!("project/node_modules/{package}/package.json");
    assert!(home.read(&installed).is_some(), "{pnpm}");

    // What is in pnpm's store already is not fetched.
    let add_anew = [pnpm, "add", "--store-dir=../empty", &package];
    home.set("MY_API_TOKEN", "myc_wrong");
    let outcome = run_in(&home, "another", &add_anew);
    assert_ne!(outcome.status, 0, "{pnpm}: a wrong token is refused");
    assert!(format!("{outcome:?}").contains("401"), "{pnpm}: {outcome:?}");
    assert!(home.session().is_some(), "{pnpm}: and the login stays");

    home.set("MY_API_TOKEN", "");
    home.write(".npmrc", &format!("@my:registry=http://{}/\n", registry.address));
    home.set_up("pnpm", &registry.address);
    let outcome = run_in(&home, "another", &add_anew);
    assert_eq!(outcome.status, 0, "{pnpm}: what setup writes is enough: {outcome:?}");

    let mut nobody = Home::at(server);
    configure(&mut nobody, registry, &package);
    let outcome = run_in(&nobody, "project", &add_anew);
    assert_ne!(outcome.status, 0, "{pnpm}: nobody is logged in: {outcome:?}");
    assert!(nobody.read(&installed).is_none(), "{pnpm}");
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../../integrations/pnpm/README.md");
    assert!(
        readme.contains(include_str!("../../../../integrations/pnpm/npmrc")),
        "the README quotes what is tested"
    );
    let server = service();
    let Some(registry) = Verdaccio::start(&server, &["npm", "pnpm12"]) else { return };
    publish_with_npm(&server, &registry, readme);
    let mut home = Home::new();
    home.set("REGISTRY", &registry.address);
    home.set("TOKEN", server.api_token("me@acme.dev", "test").unwrap().token);
    home.set("PNPM", "pnpm12");
    check_integration(home, "pnpm");
}

/// As the README says for npm.
fn publish_with_npm(server: &Server, registry: &Verdaccio, readme: &str) {
    let (mut home, _) = Home::logged_in(server);
    configure(&mut home, registry, "@my/hello");
    let line = "//npm.mycli.sh/:_authToken=${NODE_AUTH_TOKEN}";
    assert!(
        readme.contains(line)
            && readme.contains("my-credential-helper exec --env NODE_AUTH_TOKEN -- npm ")
    );
    let address = &registry.address;
    home.write(
        ".npmrc",
        &format!("@my:registry=http://{address}/\n{}\n", line.replace("npm.mycli.sh", address)),
    );
    let publish = ["exec", "--env", "NODE_AUTH_TOKEN", "--", "npm", "publish"];
    let outcome = run_in(&home, "package", &[&[HELPER], &publish[..]].concat());
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let outcome = run_in(&home, "package", &["npm", "view", "@my/hello"]);
    assert_ne!(outcome.status, 0, "without the variable nothing is let in: {outcome:?}");
}
