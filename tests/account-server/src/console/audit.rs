//! The audit log of a project, the newest line first.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Person;
use crate::extract::{Asked, Named};
use crate::microtica::audit::{self, Entry};
use crate::microtica::projects::Project;
use crate::pages;
use crate::refusal::Refusal;
use crate::service::Shared;

const LINES: u32 = 50;

#[derive(Deserialize)]
pub(crate) struct Older {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct Page {
    frame: Frame,
    project: Project,
    entries: Vec<Entry>,
    /// Where the older lines begin, if there are some.
    older: Option<i64>,
}

pub(crate) async fn show(
    State(service): State<Shared>,
    person: Person,
    Named(id): Named,
    Asked(Older { before }): Asked<Older>,
) -> Result<Response, Refusal> {
    let project = person.project(&service, &id)?;
    let mut entries =
        service.database.transaction(|db| Ok(audit::read(db, &project.id, before, LINES + 1)?))?;
    let more = entries.len() > LINES as usize;
    entries.truncate(LINES as usize);
    let older = entries.last().filter(|_| more).map(|entry| entry.id);
    let frame = Frame::within(&person, project.clone(), "audit");
    pages::answer(StatusCode::OK, &Page { frame, project, entries, older })
}
