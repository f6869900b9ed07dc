//! What a thief of the database file would find: digests.

use std::fs;
use std::path::Path;

use account_server::{NewKey, NewProject, Role, Settings, Storage};

use crate::client::{Client, redeem, refresh, start, start_login};

/// Everything in the directory but the key of the signer, which is not in the database for that reason.
fn stored(directory: &Path) -> Vec<u8> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let tables = entries.filter(|path| path.extension().is_none_or(|extension| extension != "key"));
    tables.flat_map(|path| fs::read(path).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn the_database_file_holds_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(Settings {
        database: Storage::File(directory.path().join("accounts.db")),
        ..Settings::default()
    });
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let mail = server.inbox().remove(0);
    let (_, link_token) = mail.link.split_once("token=").unwrap();
    let session = server.session("ada@example.com").unwrap();
    let refreshed = refresh(&client, &session.refresh_token);
    let token = server.api_token("ada@example.com", "ci").unwrap().token;
    let project = NewProject { name: "shop".into(), ..NewProject::default() };
    let project = server.microtica_project(project).unwrap();
    let key = NewKey {
        project: project.id,
        name: "ci".into(),
        expires_at: None,
        baseline: Role::Read,
        environments: [].into(),
    };
    let key = server.microtica_key(&key).unwrap().key;
    let stored = stored(directory.path());
    assert!(contains(&stored, "ada@example.com"), "the right files were read");
    let secrets = [
        device_code.as_str(),
        link_token,
        &mail.code,
        &session.access_token,
        &session.refresh_token,
        &refreshed.field("access_token"),
        &refreshed.field("refresh_token"),
        &token,
        &key,
    ];
    for secret in secrets {
        assert!(!secret.is_empty() && !contains(&stored, secret), "kept as a digest alone");
    }
    redeem(&client, &device_code).expect_error(400, "AUTHORIZATION_PENDING");
}

#[cfg(unix)]
#[test]
fn the_key_of_the_signer_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("accounts.db");
    let _server =
        start(Settings { database: Storage::File(database.clone()), ..Settings::default() });
    let mode = fs::metadata(database.with_extension("db.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
