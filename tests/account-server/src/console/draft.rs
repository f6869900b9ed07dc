//! A key as it was typed into the form, and what is wrong with it. Keeps what was typed, so that nobody types it again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::form::Filled;
use super::projects::check_name;
use crate::clock::Timestamp;
use crate::microtica::keys::NewKey;
use crate::microtica::projects::Environment;
use crate::microtica::role::Role;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When a key expires: what the form sends, and what it says.
const EXPIRIES: [(&str, &str); 6] = [
    ("never", "Never"),
    ("7", "In 7 days"),
    ("30", "In 30 days"),
    ("90", "In 90 days"),
    ("365", "In a year"),
    ("date", "On a date"),
];

/// What each role is good for, as the form explains it.
const ROLES: [(Role, &str); 5] = [
    (Role::None, "nothing, but for the environments below"),
    (Role::Read, "look at everything"),
    (Role::Write, "change what is deployed"),
    (Role::Admin, "manage environments and settings"),
    (Role::Owner, "everything"),
];

/// What was typed, by the fields of the form.
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) expires: String,
    pub(crate) date: String,
    pub(crate) baseline: String,
    /// For each environment of the project the role that was chosen; empty where it is the baseline.
    pub(crate) upgrades: Vec<(Environment, String)>,
}

/// A field whose content is refused, and why.
pub(crate) struct Problem {
    pub(crate) field: String,
    pub(crate) reason: String,
}

impl Problem {
    fn new(field: &str, reason: &str) -> Self {
        Self { field: field.to_owned(), reason: reason.to_owned() }
    }
}

impl Draft {
    /// A form that nobody has filled in yet.
    pub(crate) fn new(environments: Vec<Environment>) -> Self {
        let upgrades = environments.into_iter().map(|environment| (environment, String::new()));
        Self {
            name: String::new(),
            expires: "90".to_owned(),
            date: String::new(),
            baseline: Role::Read.name().to_owned(),
            upgrades: upgrades.collect(),
        }
    }

    pub(crate) fn of(form: &Filled, environments: Vec<Environment>) -> Self {
        let chosen = |environment: Environment| {
            let role = form.get(&environment.field()).to_owned();
            (environment, role)
        };
        Self {
            name: form.get("name").to_owned(),
            expires: form.get("expires").to_owned(),
            date: form.get("date").to_owned(),
            baseline: form.get("baseline").to_owned(),
            upgrades: environments.into_iter().map(chosen).collect(),
        }
    }

    /// The key that is wanted, or everything that is wrong with it.
    pub(crate) fn check(&self, project: &str, now: Timestamp) -> Result<NewKey, Vec<Problem>> {
        let mut problems = Vec::new();
        if let Err(reason) = check_name(&self.name) {
            problems.push(Problem::new("name", reason));
        }
        let end = self.end(now).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let baseline = self.baseline().unwrap_or_else(|problem| {
            problems.push(problem);
            Role::None
        });
        let environments = self.environments(baseline).unwrap_or_else(|refused| {
            problems.extend(refused);
            BTreeMap::new()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let expires_at = end.map(|end| end.to_string());
        Ok(NewKey {
            project: project.to_owned(),
            name: self.name.clone(),
            expires_at,
            baseline,
            environments,
        })
    }

    fn end(&self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        match self.expires.as_str() {
            "never" => Ok(None),
            "date" => {
                let end = Timestamp::end_of_day(&self.date);
                let end =
                    end.ok_or_else(|| Problem::new("date", "name the last day, as in 2026-12-31"))?;
                let over = || Problem::new("date", "that day is over: the key would never work");
                (end > now).then_some(Some(end)).ok_or_else(over)
            }
            days => {
                let offered = EXPIRIES.iter().any(|(offered, _)| *offered == days);
                let days: Option<u32> = days.parse().ok().filter(|_| offered);
                let days = days
                    .ok_or_else(|| Problem::new("expires-never", "choose when the key expires"))?;
                Ok(Some(now.after(DAY * days)))
            }
        }
    }

    fn baseline(&self) -> Result<Role, Problem> {
        Role::named(&self.baseline)
            .ok_or_else(|| Problem::new("baseline-none", "choose a baseline"))
    }

    /// Each upgrade is strictly stronger than the baseline: a weaker one would look like a limit, and be none.
    fn environments(&self, baseline: Role) -> Result<BTreeMap<String, Role>, Vec<Problem>> {
        let chosen = self.upgrades.iter().filter(|(_, chosen)| !chosen.is_empty());
        let (stronger, refused): (Vec<_>, Vec<_>) = chosen
            .map(|(environment, chosen)| {
                (environment, chosen, Role::named(chosen).filter(|role| *role > baseline))
            })
            .partition(|(_, _, role)| role.is_some());
        if refused.is_empty() {
            let upgrades = stronger
                .into_iter()
                .filter_map(|(environment, _, role)| Some((environment.name.clone(), role?)));
            return Ok(upgrades.collect());
        }
        let problem = |(environment, chosen, _): (&Environment, &String, Option<Role>)| {
            let name = &environment.name;
            let reason = format!(
                "in {name}, {chosen} is not stronger than the baseline, {baseline}: choose a stronger role, or none"
            );
            Problem::new(&environment.field(), &reason)
        };
        Err(refused.into_iter().map(problem).collect())
    }

    /// The choices of expiry.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        EXPIRIES.into_iter().map(|(value, said)| (value, said, self.expires == value))
    }

    /// The choices of baseline.
    pub(crate) fn baselines(&self) -> impl Iterator<Item = (Role, &'static str, bool)> {
        ROLES.into_iter().map(|(role, said)| (role, said, self.baseline == role.name()))
    }
}

impl Environment {
    /// What its field is called.
    pub(crate) fn field(&self) -> String {
        format!("environment-{}", self.id)
    }
}
