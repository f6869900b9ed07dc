//! What `config.toml` says of accounts: which a provider has, which is in use, and which answers for which places.
//!
//! They are named there, and not found by looking into a folder, because that file is read anyway: a provider with one
//! login costs no call of the system more than it would if there were no such thing as accounts.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Configuration, edit};
use crate::config::Paths;
use crate::error::{Error, Result};
use crate::model::{Account, HostPattern, Provider, Target, UrlPath};

/// `[accounts]`: patterns of places, and the account for each.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, Account>")]
pub struct AccountPatterns(Vec<Pattern>);

/// A host as in `hosts`, with or without a path: `https://git.acme.dev/team-a/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it is written.
    pub text: String,
    /// Whose places these are.
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
            return Err(Error::invalid(format!(
                "[accounts]: `{}` has more than a path",
                crate::error::sanitize(&text)
            )));
        }
        let path = UrlPath::from_encoded(&text[end..])?;
        Ok(Self { text, account, host, path })
    }

    fn matches(&self, target: &Target) -> bool {
        self.host.matches(&target.origin) && target.path.is_below(&self.path)
    }

    /// As git orders its `credential.<url>.*`: an exact host before a wildcard, the longer one first, then the longer
    /// path.
    fn rank(&self) -> (bool, usize, usize) {
        let host = self.host.to_string();
        (self.host.target().is_some(), host.len(), self.path.as_str().len())
    }

    /// The part of `target`'s host that it stands for.
    pub fn prefix(&self, target: &Target) -> Target {
        Target { origin: target.origin.clone(), path: self.path.clone() }
    }
}

impl AccountPatterns {
    fn longest(&self, target: &Target) -> Option<&Pattern> {
        self.0.iter().filter(|pattern| pattern.matches(target)).max_by_key(|pattern| pattern.rank())
    }
}

impl Configuration {
    /// The pattern that says which account answers for this place.
    pub fn account_pattern(&self, target: &Target) -> Option<&Pattern> {
        self.accounts.longest(target)
    }

    /// Whether some part of this host has an account of its own.
    pub fn splits_host(&self, host: &Target) -> bool {
        self.accounts.0.iter().any(|pattern| pattern.host.matches(&host.origin))
    }

    /// The account that answers where nothing else says which.
    pub fn account_in_use(&self, provider: &str) -> Account {
        self.providers
            .get(provider)
            .and_then(|settings| settings.account.clone())
            .unwrap_or(Account::DEFAULT)
    }

    /// Every further account of a provider, in the order of their logins.
    pub fn other_accounts(&self, provider: &str) -> &[Account] {
        self.providers.get(provider).map_or(&[], |settings| &settings.accounts)
    }
}

/// Writes down which accounts a provider has.
pub fn set_others(paths: &Paths, provider: &Provider, accounts: &[Account]) -> Result<()> {
    let names: toml_edit::Array = accounts.iter().map(ToString::to_string).collect();
    let value = (!accounts.is_empty()).then(|| names.into());
    edit::set(paths, Some(&provider.name), "accounts", value)
}

/// Writes down which account of a provider is in use.
pub fn set_in_use(paths: &Paths, provider: &Provider, account: &Account) -> Result<()> {
    let value = (!account.is_default()).then(|| account.to_string().into());
    edit::set(paths, Some(&provider.name), "account", value)
}

#[cfg(test)]
mod tests {
    use super::{Configuration, Target};

    #[test]
    fn the_longest_pattern_that_matches_whole_segments_says_which_account() {
        let configuration: Configuration = toml::from_str(
            "[accounts]\n'https://git.acme.dev/team-a/' = 'a'\n'git.acme.dev' = 'all'\n'*.acme.dev/team-a/deep' = 'wild'\n\
             'http://localhost:3000/x' = 'local'\n",
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
            ("http://localhost:3000/x/y", Some("local")),
            ("http://localhost:3001/x/y", None),
        ] {
            assert_eq!(account(url).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_no_name_is_named() {
        for (text, part) in [
            ("'git.acme.dev/a?b' = 'a'", "more than a path"),
            ("'git.acme.dev' = '../a'", "cannot be an account's name"),
            ("'*' = 'a'", "`*`"),
        ] {
            let error =
                toml::from_str::<Configuration>(&format!("[accounts]\n{text}")).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
    }
}
