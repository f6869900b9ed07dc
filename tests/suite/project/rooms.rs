//! The structure of the source: which room uses which, and how the files of a room are shared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// From the top down; rooms of one row do not use each other. A room may use every row below its own.
const ROWS: [&[&str]; 9] = [
    &["main", "start"],
    &["cli"],
    &["protocols"],
    &["auth"],
    &["store", "http"],
    &["config"],
    &["sys"],
    &["model"],
    &["error"],
];

/// What a file of a room may use, where that is less than its row allows.
const NARROWER: [(&str, &[&str]); 1] = [("protocols", &["protocols", "model", "error"])];

/// The files that are not as narrow as the others of their room.
const WIDER: [&str; 1] = ["src/protocols/run.rs"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Every source file: its path from the root of the project, and its text.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    };
    files(&root.join("src")).into_iter().map(read).collect()
}

fn room(file: &str) -> &str {
    let below = file.strip_prefix("src/").unwrap();
    below.split(['/', '.']).next().unwrap()
}

fn row(room: &str) -> usize {
    let row = ROWS.iter().position(|rooms| rooms.contains(&room));
    row.unwrap_or_else(|| panic!("`{room}` is not a room"))
}

/// The rooms whose items a file names, in `use` lines and in paths.
fn uses(text: &str) -> BTreeSet<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let roots = ["crate::", "my_credential_helper::"];
    let paths =
        code.flat_map(|line| roots.map(|root| line.split(root).skip(1)).into_iter().flatten());
    let names = paths.map(|path| {
        assert!(!path.starts_with('{'), "one `use` for each room: {path}");
        path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Why a file may not use a room, if it may not.
fn violation(file: &str, used: &str) -> Option<String> {
    let own = room(file);
    if own == "lib" || used == own {
        return None;
    }
    let narrower = NARROWER.iter().find(|(room, _)| *room == own && !WIDER.contains(&file));
    let is_allowed =
        narrower.is_none_or(|(_, rooms)| rooms.contains(&used)) && row(used) > row(own);
    (!is_allowed).then(|| format!("{file} uses {used}"))
}

#[test]
fn arrows_between_rooms_point_down() {
    let sources = sources();
    let violations: Vec<_> = sources
        .iter()
        .flat_map(|(file, text)| uses(text).into_iter().filter_map(|used| violation(file, used)))
        .collect();
    assert!(sources.len() > 80, "{} files", sources.len());
    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_up_or_sideways_is_found() {
    let up = "use crate::model::Secret;\nuse crate::cli::output::Output;\n";
    let sideways = "fn f() {\n    crate::http::failed();\n}\n";
    for (file, text, used) in [
        ("src/auth/x.rs", up, "cli"),
        ("src/store/x.rs", sideways, "http"),
        ("src/protocols/git.rs", "use crate::sys::clock;", "sys"),
    ] {
        let found: Vec<_> =
            uses(text).into_iter().filter_map(|used| violation(file, used)).collect();
        assert_eq!(found, [format!("{file} uses {used}")]);
    }
}

#[test]
fn modules_are_files_of_their_names() {
    for (file, text) in sources() {
        assert!(!text.contains("#[path"), "{file}: one style of modules");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(file.trim_end_matches(".rs"));
        assert!(!folder.is_dir(), "{file}: a module with a folder is its mod.rs");
    }
}

/// A promise that one file keeps is kept by no other: the inner HTTP client and its URLs never leave this file.
#[test]
fn only_the_http_client_can_send_a_request() {
    // Neither can send one.
    let harmless = ["reqwest::dns", "reqwest::{NoProxy, Proxy}"];
    let is_harmless = |line: &str| harmless.iter().any(|name| line.contains(name));
    let names_it = |text: &str| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.into_iter().any(|line| line.contains("reqwest") && !is_harmless(line))
    };
    let files: Vec<_> = sources().into_iter().filter(|(_, text)| names_it(text)).collect();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["src/http/client.rs"]);
    let public = files[0].1.lines().filter(|line| line.trim_start().starts_with("pub"));
    let leaks: Vec<_> =
        public.filter(|line| line.contains("Url") || line.contains("Request")).collect();
    assert_eq!(leaks, Vec::<&str>::new());
}

/// Names of the former vocabulary, and the terms that replace them.
const FORMER_NAMES: [(&str, &str); 25] = [
    ("Ask", "CredentialRequest"),
    ("Kept", "StoredSession"),
    ("Loaded", "LoadedSessions"),
    ("Slot", "StorageKey"),
    ("Carries", "AuthForm"),
    ("World", "Context"),
    ("Told", "Warning"),
    ("Meanwhile", "reconcile"),
    ("Turn", "State"),
    ("Adapter", "Tool"),
    ("Answer", "ToolOutput"),
    ("Place", "Source"),
    ("HeldOff", "BlockedSignals"),
    ("hold_off", "block"),
    ("of_this_process", "from_env"),
    ("after_others", "reconcile"),
    ("or_living", "fall_back"),
    ("by_habit", "automatic"),
    ("names_places", "needs_prefixes"),
    ("PATIENCE", "TIMEOUT"),
    ("SECOND_LOOK", "DELAY"),
    ("LONGEST", "MAX"),
    ("MOST", "MAX"),
    ("log_in_itself", "client_credentials"),
    ("redeem_code", "exchange_code"),
];

/// A constant has the term as one of its words: `LONGEST_LIFETIME`.
fn has_term(word: &str, term: &str) -> bool {
    let is_constant =
        |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    word == term
        || is_constant(term)
            && is_constant(word)
            && format!("_{word}_").contains(&format!("_{term}_"))
}

fn former_names(file: &str, text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let found = words.filter_map(|word| {
        let (_, term) = FORMER_NAMES.iter().find(|(former, _)| has_term(word, former))?;
        Some(format!("{file}: `{word}`, use {term}"))
    });
    found.collect()
}

#[test]
fn former_names_do_not_occur_in_the_source() {
    let found: Vec<_> =
        sources().iter().flat_map(|(file, text)| former_names(file, text)).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_former_name_is_found() {
    let text = "struct Slot; const LONGEST_LIFETIME: u8 = 1; const ALMOST: u8 = 1;";
    let expected = ["f: `LONGEST_LIFETIME`, use MAX", "f: `Slot`, use StorageKey"];
    assert_eq!(former_names("f", text).into_iter().collect::<Vec<_>>(), expected);
}

/// Lines with a guard that matches a pattern: `rust-version` has to compile the code, and rustc has such guards since 1.95.
fn pattern_guards(text: &str) -> Vec<&str> {
    let is_guard = |line: &&str| {
        let line = line.trim_start();
        let before = line.split(" if let ").next().unwrap_or_default();
        before != line && line.contains("=>") && !before.ends_with("else") && !before.contains("=>")
    };
    text.lines().filter(is_guard).collect()
}

#[test]
fn no_guard_of_a_match_needs_a_later_compiler() {
    let found = |text: &str| !pattern_guards(text).is_empty();
    assert!(found("    Some(x) if let Ok(y) = x.get() => y,\n"));
    assert!(!found("    } else if let Some(x) = y {\n    Some(x) => if let Some(y) = x {\n"));
    for (file, text) in sources() {
        assert_eq!(pattern_guards(&text), Vec::<&str>::new(), "{file}");
    }
}

/// The longest name of a test.
const MAX_TEST_NAME: usize = 60;

/// The names of the functions with the attribute `test`.
fn test_names(text: &str) -> Vec<&str> {
    let functions = text.split("#[test]").skip(1);
    let names = functions.filter_map(|rest| rest.split_once("fn ")?.1.split('(').next());
    names.collect()
}

#[test]
fn names_of_tests_have_at_most_sixty_characters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["src", "tests"].iter().flat_map(|folder| files(&root.join(folder)));
    let (mut count, mut long) = (0, Vec::new());
    for text in files.map(|file| std::fs::read_to_string(file).unwrap()) {
        let names = test_names(&text);
        count += names.len();
        long.extend(
            names.iter().filter(|name| name.len() > MAX_TEST_NAME).map(ToString::to_string),
        );
    }
    assert!(count > 600, "{count} tests");
    assert_eq!(long, Vec::<String>::new());
}
