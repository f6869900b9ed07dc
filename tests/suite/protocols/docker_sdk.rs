//! The Python SDK of docker, which uses every verb of a credential helper.

use crate::support::{Home, has_client};

const SCRIPT: &str = r#"
import docker.credentials
from docker.credentials.errors import CredentialsNotFound
store = docker.credentials.Store("my")
store.store("registry.example.com:5000", "ada", "hunter2")
store.store("https://index.docker.io/v1/", "grace", "s3cret")
assert store.get("registry.example.com:5000") == {
    "ServerURL": "registry.example.com:5000", "Username": "ada", "Secret": "hunter2"}, "get"
assert store.list() == {"registry.example.com:5000": "ada", "https://index.docker.io/v1/": "grace"}, store.list()
store.erase("registry.example.com:5000")
try:
    store.get("registry.example.com:5000")
except CredentialsNotFound:
    print("erased")
"#;

#[test]
fn the_python_sdk_stores_gets_lists_and_erases() {
    let mut home = Home::new();
    let has_sdk = home.run_client(&["python3", "-c", "import docker"]).status == 0;
    // By a name that no program has, so that the one place says how to skip.
    if !has_sdk && !has_client("docker of PyPI") {
        return;
    }
    home.link("docker-credential-my");
    let outcome = home.run_client(&["python3", "-c", SCRIPT]);
    assert_eq!((outcome.status, &*outcome.output), (0, "erased\n"), "{}", outcome.messages);
}
