//! The API keys of a project: the list, a new one, the one time that it is shown, and its end.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rusqlite::Connection;

use super::draft::{Draft, Problem};
use super::form::Filled;
use super::frame::Frame;
use super::see;
use super::session::Person;
use crate::clock::Timestamp;
use crate::extract::{Named, NamedIn};
use crate::microtica::audit::{self, Actor};
use crate::microtica::keys::{self, Key, Status, Upgrades};
use crate::microtica::projects::{self, Project};
use crate::microtica::role::Role;
use crate::pages;
use crate::refusal::Refusal;
use crate::service::{Service, Shared};

/// A key as the list shows it.
struct Row {
    key: Key,
    upgrades: Upgrades,
    status: Status,
}

#[derive(Template)]
#[template(path = "console/keys.html")]
struct List {
    frame: Frame,
    project: Project,
    rows: Vec<Row>,
}

pub(crate) async fn list(
    State(service): State<Shared>,
    person: Person,
    Named(id): Named,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let now = service.now();
    let rows = service.database.transaction(|db| Ok(rows(db, &project.id, now)?))?;
    pages::answer(
        StatusCode::OK,
        &List { frame: Frame::within(&person, project.clone(), "keys"), project, rows },
    )
}

fn rows(db: &Connection, project: &str, now: Timestamp) -> rusqlite::Result<Vec<Row>> {
    let row = |key: Key| {
        let upgrades = keys::upgrades(db, &key)?;
        let status = key.status(now);
        Ok(Row { key, upgrades, status })
    };
    keys::of_project(db, project)?.into_iter().map(row).collect()
}

#[derive(Template)]
#[template(path = "console/new_key.html")]
struct New {
    frame: Frame,
    project: Project,
    draft: Draft,
    problems: Vec<Problem>,
    today: String,
}

impl New {
    fn problem(&self, field: &str) -> Option<&str> {
        self.problems
            .iter()
            .find(|problem| problem.field == field)
            .map(|problem| problem.reason.as_str())
    }
}

pub(crate) async fn new(
    State(service): State<Shared>,
    person: Person,
    Named(id): Named,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let environments =
        service.database.transaction(|db| Ok(projects::environments(db, &project.id)?))?;
    form(&service, &person, project, Draft::new(environments), Vec::new())
}

fn form(
    service: &Service,
    person: &Person,
    project: Project,
    draft: Draft,
    problems: Vec<Problem>,
) -> Result<Response, Refusal> {
    let status =
        if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = Frame::within(person, project.clone(), "keys");
    pages::answer(status, &New { frame, project, draft, problems, today: service.now().day() })
}

pub(crate) async fn create(
    State(service): State<Shared>,
    person: Person,
    Named(id): Named,
    filled: Filled,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let now = service.now();
    let environments =
        service.database.transaction(|db| Ok(projects::environments(db, &project.id)?))?;
    let draft = Draft::of(&filled, environments);
    let new = match draft.check(&project.id, now) {
        Ok(new) => new,
        Err(problems) => return form(&service, &person, project, draft, problems),
    };
    let email = &person.user.email;
    let made = keys::make(&service, &new, Some(email))?;
    let action = format!("created the key {} ({})", new.name, made.prefix);
    service
        .database
        .transaction(|db| Ok(audit::write(db, &project.id, Actor::Person(email), &action, now)?))?;
    service.unshown.put(&made.id, made.key, &person.token, now);
    Ok(see(&format!("/projects/{}/keys/{}/created", project.id, made.id)))
}

#[derive(Template)]
#[template(path = "console/created.html")]
struct Created {
    frame: Frame,
    project: Project,
    key: Key,
    secret: Option<String>,
}

/// The page with the key, and after that without it.
pub(crate) async fn created(
    State(service): State<Shared>,
    person: Person,
    NamedIn(id, key): NamedIn,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let (key, _) = service.database.transaction(|db| find(db, &project.id, &key))?;
    let secret = service.unshown.take(&key.id, &person.token, service.now());
    let frame = Frame::within(&person, project.clone(), "keys");
    pages::answer_with_script(&Created { frame, project, key, secret })
}

/// A key of the project, with its upgrades.
pub(super) fn find(db: &Connection, project: &str, id: &str) -> Result<(Key, Upgrades), Refusal> {
    let key = keys::find(db, project, id)?.ok_or(Refusal::NotFound)?;
    let upgrades = keys::upgrades(db, &key)?;
    Ok((key, upgrades))
}

#[derive(Template)]
#[template(path = "console/revoke.html")]
struct Revoke {
    frame: Frame,
    project: Project,
    key: Key,
}

pub(crate) async fn confirm_revoke(
    State(service): State<Shared>,
    person: Person,
    NamedIn(id, key): NamedIn,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let (key, _) = service.database.transaction(|db| find(db, &project.id, &key))?;
    pages::answer(
        StatusCode::OK,
        &Revoke { frame: Frame::within(&person, project.clone(), "keys"), project, key },
    )
}

pub(crate) async fn revoke(
    State(service): State<Shared>,
    person: Person,
    NamedIn(id, key): NamedIn,
    _form: Filled,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let now = service.now();
    service.database.transaction(|db| {
        let (key, _) = find(db, &project.id, &key)?;
        if key.status(now) != Status::Revoked {
            keys::revoke(db, &key.id, now)?;
            let action = format!("revoked the key {} ({})", key.name, key.prefix);
            audit::write(db, &project.id, Actor::Person(&person.user.email), &action, now)?;
        }
        Ok(())
    })?;
    Ok(see(&format!("/projects/{}/keys", project.id)))
}
