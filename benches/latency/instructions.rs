//! Counts the instructions of the frequent operations with callgrind. The count is the same on every run of a build, so a
//! regression is visible on a busy machine, too.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::case::Case;
use super::support::{Home, has_client, service};

const BUDGETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/budgets.toml");
/// The tolerance around a budget, in percent.
const TOLERANCE: u64 = 5;

/// Compares each operation with its budget. A count below the budget fails, too, so that the budget is lowered.
pub(crate) fn check(helper: &Path) -> anyhow::Result<()> {
    if !has_client("valgrind") {
        return Ok(());
    }
    let budgets: BTreeMap<String, u64> = toml::from_str(&std::fs::read_to_string(BUDGETS)?)?;
    let counts = counts(helper)?;
    let mut missed = Vec::new();
    for (verb, count) in &counts {
        let budget = *budgets.get(verb).with_context(|| format!("no budget for `{verb}`"))?;
        println!("{verb:<14} {count:>9} instructions, budget {budget}");
        if count.abs_diff(budget) * 100 > budget * TOLERANCE {
            missed.push(verb.as_str());
        }
    }
    ensure!(
        missed.is_empty(),
        "more than {TOLERANCE} % from benches/budgets.toml: {}",
        missed.join(", ")
    );
    Ok(())
}

fn counts(helper: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let token = session.access_token.as_str();
    // For every tool: what one tool stores is not returned to the others.
    let login = r#"{"url":"https://git.example.com","username":"me","secret":"a-stored-password"}"#;
    let case = |verb: &[&str]| {
        Case::new(verb.join(" "), helper, verb).home(home.path()).variable("MY_NO_KEYRING", "1")
    };
    case(&["store"]).asked(login, "").run()?;
    let asked = "protocol=https\nhost=git.example.com\n\n";
    let url = "https://git.example.com";
    let bazel = format!(r#"{{"uri":"{url}/file"}}"#);
    let cases = [
        case(&["get"]).asked("{}", token),
        case(&["git", "get"]).asked(asked, "a-stored-password"),
        case(&["docker", "get"]).asked(url, "a-stored-password"),
        case(&["bazel", "get"]).asked(&bazel, "Authorization"),
        case(&["goauth", url]).asked("", "Authorization"),
        case(&["keyring", "get", url, "me"]).asked("", "a-stored-password"),
    ];
    let mut counts: BTreeMap<_, _> = cases
        .iter()
        .map(|case| Ok((case.name.clone(), count(case)?)))
        .collect::<anyhow::Result<_>>()?;
    home.write(".config/my-credential-helper/config.toml", CONFIGURATION);
    let configured = case(&["git", "get"]).asked(asked, "a-stored-password");
    counts.insert("git get, config.toml".to_owned(), count(&configured)?);
    if let Some((_homes, cases)) = super::shared::cases(helper)? {
        for case in &cases {
            counts.insert(case.name.clone(), count(case)?);
        }
    }
    Ok(counts)
}

/// What somebody has who uses a forge of their own, two accounts and a wildcard.
const CONFIGURATION: &str = r#"
store = "file"

[accounts]
"https://forge.example.com/team/" = "work"

[providers.mycli]
hosts = ["*.registry.example.com", "packages.example.com"]

[providers.forge]
kind = "gitea"
issuer = "https://forge.example.com"
client_id = "0123"
hosts = ["forge.example.com"]
accounts = ["work"]
"#;

pub(crate) fn count(case: &Case) -> anyhow::Result<u64> {
    let callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let findings = case.findings(&callgrind)?;
    let collected = findings
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .context("callgrind says nothing")?;
    Ok(collected.1.trim().parse()?)
}
