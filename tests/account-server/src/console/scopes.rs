//! More scopes for a key that is there. Scopes are only ever added: who wants a weaker key makes another.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rusqlite::Connection;

use super::form::Filled;
use super::frame::Frame;
use super::session::Person;
use super::{keys as pages_of_keys, see};
use crate::extract::NamedIn;
use crate::microtica::audit::{self, Actor};
use crate::microtica::keys::{self, Key, Status, Upgrades};
use crate::microtica::projects::{self, Environment, Project};
use crate::microtica::role::Role;
use crate::pages;
use crate::refusal::Refusal;
use crate::service::{Service, Shared};

/// An environment, and what the key may do there already.
struct Scope {
    field: String,
    name: String,
    role: Role,
}

#[derive(Template)]
#[template(path = "console/scopes.html")]
struct Page {
    frame: Frame,
    project: Project,
    key: Key,
    scopes: Vec<Scope>,
    problem: Option<&'static str>,
}

pub(crate) async fn show(
    State(service): State<Shared>,
    person: Person,
    NamedIn(id, key): NamedIn,
) -> Result<Response, Refusal> {
    page(&service, &person, (&id, &key), StatusCode::OK, None)
}

fn page(
    service: &Service,
    person: &Person,
    (id, key): (&str, &str),
    status: StatusCode,
    problem: Option<&'static str>,
) -> Result<Response, Refusal> {
    let project = person.project(service, id)?;
    let (key, scopes) = service.database.transaction(|db| {
        let (key, upgrades) = pages_of_keys::find(db, &project.id, key)?;
        let scopes = projects::environments(db, &project.id)?.into_iter();
        let scopes = scopes.map(|environment| scope(&key, &upgrades, environment)).collect();
        Ok((key, scopes))
    })?;
    let frame = Frame::within(person, project.clone(), "keys");
    pages::answer(status, &Page { frame, project, key, scopes, problem })
}

fn scope(key: &Key, upgrades: &Upgrades, environment: Environment) -> Scope {
    let role = key.role_in(upgrades, &environment.name);
    Scope { field: environment.field(), name: environment.name, role }
}

pub(crate) async fn add(
    State(service): State<Shared>,
    person: Person,
    NamedIn(id, key_id): NamedIn,
    form: Filled,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let now = service.now();
    let added = service.database.transaction(|db| {
        let (key, upgrades) = pages_of_keys::find(db, &project.id, &key_id)?;
        if key.status(now) != Status::Active {
            return Err(Refusal::InvalidRequest(
                "a key that does not work any more is given no scopes",
            ));
        }
        let wanted = strengthen(db, &project, (&key, &upgrades), &form)?;
        let action =
            format!("added scopes to the key {} ({}): {}", key.name, key.prefix, wanted.join(", "));
        Ok(audit::write(db, &project.id, Actor::Person(&person.user.email), &action, now)?)
    });
    match added {
        Err(Refusal::InvalidRequest(reason)) => {
            page(&service, &person, (&id, &key_id), StatusCode::UNPROCESSABLE_ENTITY, Some(reason))
        }
        added => added.map(|()| see(&format!("/projects/{}/keys", project.id))),
    }
}

/// Adds what was chosen, and says what that is.
fn strengthen(
    db: &Connection,
    project: &Project,
    (key, upgrades): (&Key, &Upgrades),
    form: &Filled,
) -> Result<Vec<String>, Refusal> {
    let mut wanted = Vec::new();
    for environment in projects::environments(db, &project.id)? {
        let chosen = form.get(&environment.field());
        if chosen.is_empty() {
            continue;
        }
        let role = Role::named(chosen).ok_or(Refusal::InvalidRequest("there is no such role"))?;
        let before = key.role_in(upgrades, &environment.name);
        if role <= before {
            return Err(Refusal::InvalidRequest(
                "a scope is stronger than what the key may do already",
            ));
        }
        keys::upgrade(db, &project.id, &key.id, &environment.name, (role, before))?;
        wanted.push(format!("{} in {}", role, environment.name));
    }
    if wanted.is_empty() {
        Err(Refusal::InvalidRequest("choose a stronger role for an environment"))
    } else {
        Ok(wanted)
    }
}
