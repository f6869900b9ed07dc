//! The accounts in `config.toml`: the accounts of a provider, the account in use, and the accounts for URL patterns.
//! The file is read in any case, so that a provider with one account needs no system call to list a directory.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Configuration;
use super::edit::Editor;
use crate::error::{Error, Result, sanitize};
use crate::model::{Account, HostPattern, Origin, Provider, Target, UrlPath};

/// `[accounts]`: URL patterns, and the account for each.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, Account>")]
pub struct AccountPatterns(Vec<Pattern>);

/// A host as in `hosts`, with or without a path: `https://git.acme.dev/team-a/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub text: String,
    pub account: Account,
    host: HostPattern,
    path: UrlPath,
}

impl TryFrom<BTreeMap<String, Account>> for AccountPatterns {
    type Error = Error;

    fn try_from(written: BTreeMap<String, Account>) -> Result<Self> {
        written
            .into_iter()
            .map(|(text, account)| Pattern::parse(text, account))
            .collect::<Result<_>>()
            .map(Self)
    }
}

impl Pattern {
    fn parse(text: String, account: Account) -> Result<Self> {
        let start = text.find("://").map_or(0, |scheme| scheme + 3);
        let end = text[start..].find('/').map_or(text.len(), |slash| start + slash);
        let host = HostPattern::parse(&text[..end])?;
        if text[end..].contains(['?', '#']) {
            let message =
                format!("[accounts]: `{}` contains a query or a fragment", sanitize(&text));
            return Err(Error::invalid(message));
        }
        let path = UrlPath::from_encoded(&text[end..])?;
        Ok(Self { text, account, host, path })
    }

    fn matches(&self, target: &Target) -> bool {
        self.host.matches(&target.origin) && target.path.is_below(&self.path)
    }

    /// The order of git's `credential.<url>.*`: an exact host before a wildcard, then the longer host, then the longer
    /// path. Of two patterns for the same part of a host, the one that says more about the scheme and the port.
    fn rank(&self) -> ((bool, usize), usize, usize) {
        (self.host.host_rank(), self.path.as_str().len(), self.host.to_string().len())
    }

    /// The part of `target`'s host that the pattern is for.
    pub fn prefix(&self, target: &Target) -> Target {
        Target { origin: target.origin.clone(), path: self.path.clone() }
    }
}

impl Configuration {
    pub fn account_pattern(&self, target: &Target) -> Option<&Pattern> {
        let matching = self.accounts.0.iter().filter(|pattern| pattern.matches(target));
        matching.max_by_key(|pattern| pattern.rank())
    }

    /// Whether a part of this origin has an account of its own.
    pub fn has_account_pattern(&self, origin: &Origin) -> bool {
        self.accounts.0.iter().any(|pattern| pattern.host.matches(origin))
    }

    /// The account that answers if nothing else selects one.
    pub fn account_in_use(&self, provider: &str) -> Account {
        let settings = self.providers.get(provider);
        settings.and_then(|settings| settings.account.clone()).unwrap_or(Account::DEFAULT)
    }

    /// Every account except the default one, in the order of the first logins.
    pub fn other_accounts(&self, provider: &str) -> &[Account] {
        self.providers.get(provider).map_or(&[], |settings| &settings.accounts)
    }
}

pub fn set_others(editor: &Editor<'_>, provider: &Provider, accounts: &[Account]) -> Result<()> {
    let names: toml_edit::Array = accounts.iter().map(ToString::to_string).collect();
    let value = (!accounts.is_empty()).then(|| names.into());
    editor.set(Some(&provider.name), "accounts", value)
}

pub fn set_in_use(editor: &Editor<'_>, provider: &Provider, account: &Account) -> Result<()> {
    let value = (!account.is_default()).then(|| account.to_string().into());
    editor.set(Some(&provider.name), "account", value)
}

#[cfg(test)]
mod tests {
    use super::{Configuration, Target};

    #[test]
    fn the_longest_pattern_of_whole_segments_selects_the_account() {
        let configuration: Configuration = toml::from_str(
            "[accounts]\n'https://git.acme.dev/team-a/' = 'a'\n'git.acme.dev' = 'all'\n'*.acme.dev/team-a/deep' = 'wild'\n\
             'http://localhost:3000/x' = 'local'\n'code.acme.dev/team-a/' = 'a'\n\
             'https://code.acme.dev:443' = 'all'\n'code.acme.dev' = 'plain'\n",
        )
        .unwrap();
        let account = |url: &str| {
            configuration
                .account_pattern(&Target::parse(url).unwrap())
                .map(|pattern| pattern.account.to_string())
        };
        for (url, name) in [
            ("https://git.acme.dev/team-a/x.git", Some("a")),
            ("https://git.acme.dev/team-a", Some("a")),
            ("https://git.acme.dev/team-ab", Some("all")),
            ("https://git.acme.dev", Some("all")),
            ("https://git.acme.dev/team-a/deep/x", Some("a")),
            ("https://www.acme.dev/team-a/deep/x", Some("wild")),
            ("https://www.acme.dev/team-a", None),
            ("https://code.acme.dev/team-a/x", Some("a")),
            ("https://code.acme.dev/team-b/x", Some("all")),
            ("http://localhost:3000/x/y", Some("local")),
            ("http://localhost:3001/x/y", None),
        ] {
            assert_eq!(account(url).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn invalid_patterns_and_names_are_named() {
        for (text, part) in [
            ("'git.acme.dev/a?b' = 'a'", "a query or a fragment"),
            ("'git.acme.dev' = '../a'", "is not a valid account name"),
            ("'*' = 'a'", "`*`"),
        ] {
            let error =
                toml::from_str::<Configuration>(&format!("[accounts]\n{text}")).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
    }
}
