//! The members of a project. Who leaves it takes no key along: keys are the project's.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::form::Filled;
use super::frame::Frame;
use super::see;
use super::session::Person;
use crate::extract::Named;
use crate::microtica::audit::{self, Actor};
use crate::microtica::members;
use crate::microtica::projects::Project;
use crate::mycli::email;
use crate::pages;
use crate::refusal::Refusal;
use crate::service::{Service, Shared};
use crate::store::users::{self, User};

#[derive(Template)]
#[template(path = "console/members.html")]
struct Page<'a> {
    frame: Frame,
    project: Project,
    members: Vec<User>,
    own_id: &'a str,
    email: &'a str,
    problem: Option<&'static str>,
}

pub(crate) async fn list(
    State(service): State<Shared>,
    person: Person,
    Named(id): Named,
) -> Result<Response, Refusal> {
    page(&service, &person, &id, StatusCode::OK, ("", None))
}

fn page(
    service: &Service,
    person: &Person,
    id: &str,
    status: StatusCode,
    (email, problem): (&str, Option<&'static str>),
) -> Result<Response, Refusal> {
    let project = person.project(service, id)?;
    let members = service.database.transaction(|db| Ok(members::of_project(db, id)?))?;
    let frame = Frame::within(person, project.clone(), "members");
    let own_id = &person.user.id;
    pages::answer(status, &Page { frame, project, members, own_id, email, problem })
}

pub(crate) async fn add(
    State(service): State<Shared>,
    person: Person,
    Named(id): Named,
    form: Filled,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let typed = form.get("email");
    let Ok(email) = email::normalize(typed) else {
        let problem = Some(Refusal::InvalidEmail.parts().2);
        return page(&service, &person, &id, StatusCode::UNPROCESSABLE_ENTITY, (typed, problem));
    };
    let now = service.now();
    service.database.transaction(|db| {
        let user = users::of_email(db, &email, now)?;
        members::join(db, &project.id, &user.id)?;
        let action = format!("added the member {email}");
        Ok(audit::write(db, &project.id, Actor::Person(&person.user.email), &action, now)?)
    })?;
    Ok(see(&format!("/projects/{}/members", project.id)))
}

pub(crate) async fn leave(
    State(service): State<Shared>,
    person: Person,
    Named(id): Named,
    _form: Filled,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let now = service.now();
    let left = service.database.transaction(|db| {
        members::leave(db, &project.id, &person.user.id)?;
        Ok(audit::write(
            db,
            &project.id,
            Actor::Person(&person.user.email),
            "left the project",
            now,
        )?)
    });
    match left {
        Err(Refusal::InvalidRequest(reason)) => {
            page(&service, &person, &id, StatusCode::UNPROCESSABLE_ENTITY, ("", Some(reason)))
        }
        left => left.map(|()| see("")),
    }
}
