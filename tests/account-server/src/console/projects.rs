//! The projects of a member, and a new one.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::form::Filled;
use super::frame::Frame;
use super::see;
use super::session::Person;
use crate::extract::{Named, is_unseen};
use crate::microtica::audit::{self, Actor};
use crate::microtica::members;
use crate::microtica::projects::{self, NewProject, Project};
use crate::pages;
use crate::refusal::Refusal;
use crate::service::{Service, Shared};

const ENVIRONMENTS: &str = "development, production";
const MOST_ENVIRONMENTS: usize = 20;

#[derive(Template)]
#[template(path = "console/projects.html")]
struct Page<'a> {
    frame: Frame,
    projects: Vec<Project>,
    name: &'a str,
    environments: &'a str,
    problem: Option<&'static str>,
}

pub(crate) async fn list(
    State(service): State<Shared>,
    person: Person,
) -> Result<Response, Refusal> {
    page(&service, &person, StatusCode::OK, ("", ENVIRONMENTS), None)
}

fn page(
    service: &Service,
    person: &Person,
    status: StatusCode,
    (name, environments): (&str, &str),
    problem: Option<&'static str>,
) -> Result<Response, Refusal> {
    let projects =
        service.database.transaction(|db| Ok(members::projects_of(db, &person.user.id)?))?;
    pages::answer(status, &Page { frame: Frame::of(person), projects, name, environments, problem })
}

pub(crate) async fn create(
    State(service): State<Shared>,
    person: Person,
    form: Filled,
) -> Result<Response, Refusal> {
    let typed = (form.get("name"), form.get("environments"));
    let environments: Vec<String> = split(typed.1);
    if let Err(problem) = check(typed.0, &environments) {
        return page(&service, &person, StatusCode::UNPROCESSABLE_ENTITY, typed, Some(problem));
    }
    let project =
        projects::make(&service, NewProject { id: None, name: typed.0.to_owned(), environments })?;
    let now = service.now();
    service.database.transaction(|db| {
        members::join(db, &project.id, &person.user.id)?;
        Ok(audit::write(
            db,
            &project.id,
            Actor::Person(&person.user.email),
            "created the project",
            now,
        )?)
    })?;
    Ok(see(&format!("/projects/{}/keys", project.id)))
}

fn split(environments: &str) -> Vec<String> {
    let names = environments.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn check(name: &str, environments: &[String]) -> Result<(), &'static str> {
    check_name(name)?;
    if environments.is_empty() || environments.len() > MOST_ENVIRONMENTS {
        return Err("a project has one environment at least, and twenty at most");
    }
    environments.iter().try_for_each(|name| check_name(name))
}

/// A name is shown to others, who have to trust what is around it.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.chars().count() > 100 {
        return Err("a name has one character at least, and a hundred at most");
    }
    if name.contains(is_unseen) {
        return Err(
            "a name has no characters that cannot be seen, or that turn the direction of writing",
        );
    }
    Ok(())
}

/// The settings of a project begin with its keys.
pub(crate) async fn show(
    State(service): State<Shared>,
    person: Person,
    Named(id): Named,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    Ok(see(&format!("/projects/{}/keys", project.id)))
}
