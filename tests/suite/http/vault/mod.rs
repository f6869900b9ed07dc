//! The store of sessions that machines share, against real servers: OpenBao, alone and as a cluster.

mod cluster;
mod logins;
mod people;
mod scripted;
mod silent;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use my_credential_helper::config::{Context, Overrides, Paths};
use my_credential_helper::http::{
    Network, SharedFailure, SharedStore, SharedStores as _, VaultStores,
};
use my_credential_helper::model::{
    Lease, Provider, Secret, Session, SharedPart, SharedRecord, SharedSession, Timestamp,
};
use my_credential_helper::sys::clock::SystemClock;
use my_credential_helper::sys::env::Environment;
use my_credential_helper::sys::log::StderrLog;
use serde_json::{Value, json};

use crate::support::Home;
use crate::support::openbao::OpenBao;

/// A machine with this `[stores.vault]`.
struct Machine {
    home: Home,
    context: Context,
    provider: Provider,
}

impl Machine {
    fn new(settings: &str, variables: &[(&str, &str)]) -> Self {
        Self::at(Home::new(), settings, variables)
    }

    fn at(home: Home, settings: &str, variables: &[(&str, &str)]) -> Self {
        home.configure(&format!("{PROVIDER}[stores.vault]\n{settings}"));
        let variables: HashMap<String, OsString> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        let paths = Paths::at(home.path());
        let context = Context::new(Environment::Fixed(variables), paths, Overrides::default());
        let provider = context.provider(None).expect("the configuration");
        Self { home, context, provider }
    }

    fn stores(&self) -> VaultStores<'_> {
        let network = Network {
            context: &self.context,
            log: StderrLog::default(),
            descriptions: false,
            deadline: None,
        };
        VaultStores::new(network, &SystemClock)
    }

    /// Runs with the store, which has this time.
    fn within<T>(&self, timeout: Duration, run: impl FnOnce(&dyn SharedStore) -> T) -> T {
        let stores = self.stores();
        let store = stores.open(&self.provider, Instant::now() + timeout).expect("the store");
        run(&*store)
    }

    fn run<T>(&self, run: impl FnOnce(&dyn SharedStore) -> T) -> T {
        self.within(Duration::from_secs(20), run)
    }

    fn read(&self) -> Result<(Option<SharedRecord>, u64), SharedFailure> {
        self.run(|store| store.read(REFRESH).map(|found| (found.record, found.version)))
    }

    fn write(&self, version: u64, record: &SharedRecord) -> Result<u64, SharedFailure> {
        self.run(|store| store.compare_and_set(REFRESH, version, record))
    }
}

const PROVIDER: &str = "provider = \"acme\"\n[providers.acme]\nkind = \"api_key\"\n\
    api_url = \"https://api.acme.dev\"\ntoken_variable = \"ACME_TOKEN\"\nstore = \"vault\"\n";

const REFRESH: SharedPart = SharedPart::Refresh;

fn record(name: &str) -> SharedRecord {
    let at = Timestamp::from_unix;
    SharedRecord::Session(Box::new(SharedSession {
        login_id: "login-1".to_owned(),
        session: Session {
            access_token: Secret::new(format!("hunter2-access-{name}")),
            refresh_token: Some(Secret::new(format!("hunter2-refresh-{name}"))),
            id_token: None,
            expires_at: at(1_900_000_000),
            logged_in_at: at(1_800_000_000),
            last_refreshed_at: at(1_800_000_000),
        },
        lease: Some(Lease { holder: "host".to_owned(), nonce: name.to_owned() }),
        rejected: None,
    }))
}

fn addresses(urls: &[impl AsRef<str>]) -> String {
    let urls: Vec<_> = urls.iter().map(AsRef::as_ref).collect();
    format!("addresses = {urls:?}\n")
}

fn message(failure: &SharedFailure) -> String {
    let message = failure.to_string();
    assert!(!message.contains("hunter2"), "{message}");
    message
}

/// What a policy of `setup vault` allows this role.
fn policy(path: &str, capabilities: &[&str]) -> Value {
    json!({ "policy": format!("path \"{path}\" {{ capabilities = {capabilities:?} }}") })
}

fn token_of(bao: &OpenBao, policies: &[&str]) -> String {
    let made = bao.write("auth/token/create", &json!({ "policies": policies, "ttl": "1h" }));
    made["auth"]["client_token"].as_str().expect("a token").to_owned()
}

fn token_file(home: &Path) -> std::path::PathBuf {
    home.join(".vault-token")
}

#[test]
fn a_record_is_written_from_the_version_that_was_read() {
    let Some(bao) = OpenBao::start() else { return };
    let machine = Machine::new(&addresses(&[&bao.url]), &[("VAULT_TOKEN", "root")]);
    assert_eq!(machine.read(), Ok((None, 0)));
    let (first, second) = (record("1"), record("2"));
    machine.run(|store| {
        assert_eq!(store.compare_and_set(REFRESH, 0, &first), Ok(1));
        let found = store.read(REFRESH).unwrap();
        assert_eq!((found.record, found.version), (Some(first.clone()), 1));
        let age = found.server_time.since(found.created_at).whole_seconds();
        assert!((-1..=2).contains(&age), "{age}");
        assert_eq!(store.compare_and_set(REFRESH, 1, &second), Ok(2));
        assert_eq!(store.compare_and_set(REFRESH, 1, &first), Err(SharedFailure::Refused));
        assert_eq!(store.compare_and_set(REFRESH, 0, &first), Err(SharedFailure::Refused));
        assert_eq!(store.compare_and_set(REFRESH, 9, &first), Err(SharedFailure::Refused));
        let place = "secret/my-credential-helper/refresh/acme/default at ";
        assert_eq!(store.location(REFRESH), format!("{place}{}", bao.url));
    });
    assert_eq!(machine.read(), Ok((Some(second), 2)));

    // The server stores one version, and refuses a write without check-and-set.
    let key = "my-credential-helper/refresh/acme/default";
    let metadata = bao.read("root", &format!("secret/metadata/{key}"));
    assert_eq!(
        (&metadata["data"]["max_versions"], &metadata["data"]["cas_required"]),
        (&json!(1), &json!(true))
    );
    let data = bao.read("root", &format!("secret/data/{key}"));
    let fields = data["data"]["data"].as_object().unwrap();
    assert!(fields.values().all(Value::is_string), "an audit log hashes strings only: {fields:?}");

    // A deleted record keeps its version.
    bao.write(&format!("secret/delete/{key}"), &json!({ "versions": [2] }));
    assert_eq!(machine.read(), Ok((None, 2)));
    assert_eq!(machine.write(2, &first), Ok(3));
    let tombstone = SharedRecord::LoggedOut { login_id: "login-1".to_owned() };
    assert_eq!(machine.write(3, &tombstone), Ok(4));
    assert_eq!(machine.read(), Ok((Some(tombstone), 4)));
}

#[test]
fn a_record_for_readers_is_another_one() {
    let Some(bao) = OpenBao::start() else { return };
    let machine = Machine::new(&addresses(&[&bao.url]), &[("VAULT_TOKEN", "root")]);
    machine.run(|store| {
        assert_eq!(store.compare_and_set(SharedPart::Refresh, 0, &record("1")), Ok(1));
        assert_eq!(store.compare_and_set(SharedPart::Access, 0, &record("1")), Ok(1));
    });
    let stored = bao.read("root", "secret/data/my-credential-helper/access/acme/default");
    assert!(stored["data"]["data"]["access_token"].is_string());
    assert!(!stored.to_string().contains("hunter2-refresh"), "{stored}");
    bao.write(
        "sys/policies/acl/reader",
        &policy("secret/data/my-credential-helper/access/*", &["read"]),
    );
    let reader = token_of(&bao, &["reader"]);
    let machine = Machine::new(&addresses(&[&bao.url]), &[("VAULT_TOKEN", &reader)]);
    machine.run(|store| {
        assert_eq!(store.read(SharedPart::Access).unwrap().version, 1);
        let denied = store.read(SharedPart::Refresh).unwrap_err();
        let line = "path \"secret/data/my-credential-helper/refresh/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
        assert!(matches!(denied, SharedFailure::Denied(_)) && message(&denied).contains(line), "{denied}");
        let denied = store.compare_and_set(SharedPart::Access, 1, &record("2")).unwrap_err();
        let line = "access/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
        assert!(matches!(denied, SharedFailure::Denied(_)) && message(&denied).contains(line), "{denied}");
    });
}

#[test]
fn a_wrong_mount_and_a_wrong_namespace_are_named() {
    let Some(bao) = OpenBao::start() else { return };
    bao.write("sys/mounts/old", &json!({ "type": "kv", "options": { "version": "1" } }));
    bao.write("sys/namespaces/team", &json!({}));
    bao.write("team/sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } }));
    let machine = |settings: &str| {
        let settings = format!("{}{settings}", addresses(&[&bao.url]));
        Machine::new(&settings, &[("BAO_TOKEN", "root")])
    };
    for (settings, reason) in [
        ("mount = \"none\"", "check `mount` and `namespace` in [stores.vault]"),
        ("namespace = \"none\"", "namespace not found"),
    ] {
        let failure = machine(settings).read().unwrap_err();
        assert!(matches!(failure, SharedFailure::Failed(_)), "{failure:?}");
        assert!(message(&failure).contains(reason), "{failure}");
    }
    let old = machine("mount = \"old\"");
    let failure = old.write(0, &record("1")).unwrap_err();
    assert!(message(&failure).ends_with("at old is not KV version 2"), "{failure}");
    let failure = old.read().unwrap_err();
    assert!(message(&failure).ends_with("at old is not KV version 2"), "{failure}");
    let team = machine("namespace = \"team\"\npath = \"a/b.c\"");
    assert_eq!(team.write(0, &record("1")), Ok(1));
    let stored = bao.read("root", "team/secret/data/a/b.c/refresh/acme/default");
    assert_eq!(stored["data"]["metadata"]["version"], 1);
}

#[test]
fn an_address_of_the_environment_needs_its_token() {
    let Some(bao) = OpenBao::start() else { return };
    let open = |settings: &str, variables: &[(&str, &str)]| {
        let machine = Machine::new(settings, variables);
        let stores = machine.stores();
        let store = stores.open(&machine.provider, Instant::now() + Duration::from_secs(9));
        store.map(|store| (store.location(REFRESH), store.read(REFRESH).map(|it| it.version)))
    };
    let url = bao.url.as_str();
    let here = |version| {
        Ok((format!("secret/my-credential-helper/refresh/acme/default at {url}"), version))
    };
    assert_eq!(open("", &[("VAULT_ADDR", url), ("VAULT_TOKEN", "root")]), here(Ok(0)));
    assert_eq!(
        open(&addresses(&[url]), &[("VAULT_ADDR", url), ("VAULT_TOKEN", "root")]),
        here(Ok(0))
    );
    // An address alone, or with the token of the other project, is not used.
    let evil = "http://127.0.0.1:1";
    for variables in [
        &[("VAULT_ADDR", evil)][..],
        &[("VAULT_ADDR", evil), ("BAO_ADDR", evil), ("VAULT_NAMESPACE", "none")],
        &[("VAULT_ADDR", evil), ("VAULT_SKIP_VERIFY", "1")],
    ] {
        let error = open("", variables).unwrap_err();
        assert_eq!(error.message, "[stores.vault] has no `addresses`", "{variables:?}");
    }
    let variables = [("VAULT_ADDR", evil), ("BAO_TOKEN", "root"), ("VAULT_NAMESPACE", "none")];
    assert_eq!(open(&addresses(&[url]), &variables), here(Ok(0)));
    let error =
        open(&addresses(&[url]), &[("VAULT_ADDR", evil), ("VAULT_TOKEN", "root")]).unwrap_err();
    assert_eq!(
        error.message,
        "VAULT_ADDR names http://127.0.0.1:1, which is not one of `addresses` in [stores.vault]"
    );
    let error = open("", &[("VAULT_ADDR", "http://bao.acme.dev"), ("VAULT_TOKEN", "root")]);
    assert!(error.unwrap_err().message.starts_with("VAULT_ADDR: cannot use `http://bao.acme.dev`"));
}

#[test]
fn the_audit_log_names_each_request_and_no_secret() {
    let Some(bao) = OpenBao::start() else { return };
    let machine = Machine::new(&addresses(&[&bao.url]), &[("VAULT_TOKEN", "root")]);
    let before = bao.audit().len();
    let logged_out = SharedRecord::LoggedOut { login_id: "login-1".to_owned() };
    machine.run(|store| {
        assert_eq!(store.read(REFRESH).unwrap().version, 0);
        for (version, record) in [(0, record("1")), (1, record("2")), (2, logged_out)] {
            assert_eq!(store.compare_and_set(REFRESH, version, &record), Ok(version + 1));
        }
        assert_eq!(store.read(REFRESH).unwrap().version, 3);
    });
    let log = bao.audit().split_off(before);
    for secret in ["hunter2", "login-1", "refresh-1", "lease-nonce", "api.acme.dev"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    let record = "my-credential-helper/refresh/acme/default";
    let expected = [
        ("read", "data"),
        ("create", "metadata"),
        ("update", "data"),
        ("update", "data"),
        ("update", "data"),
        ("read", "data"),
    ];
    let expected = expected.map(|(operation, kind)| format!("{operation} secret/{kind}/{record}"));
    assert_eq!(OpenBao::audited(&log), expected);
}
