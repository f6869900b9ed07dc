//! What is around every page of the console: who is signed in, which project it is, where else one can go.

use super::session::Person;
use crate::microtica::projects::Project;

/// The frame of a page.
pub(crate) struct Frame {
    /// Who is signed in.
    pub(crate) email: Option<String>,
    /// What the forms of the page carry.
    pub(crate) token: String,
    pub(crate) project: Option<Project>,
    /// Which part of the project it is.
    pub(crate) part: &'static str,
}

impl Frame {
    /// For somebody who is signed in.
    pub(crate) fn of(person: &Person) -> Self {
        let (email, token) = (person.user.email.clone(), person.token.clone());
        Self { email: Some(email), token, project: None, part: "" }
    }

    /// A part of a project.
    pub(crate) fn within(person: &Person, project: Project, part: &'static str) -> Self {
        Self { project: Some(project), part, ..Self::of(person) }
    }

    /// For a visitor whose forms carry this token.
    pub(crate) fn of_visitor(token: String) -> Self {
        Self { token, ..Self::of_nobody() }
    }

    /// For a page without a form.
    pub(crate) fn of_nobody() -> Self {
        Self { email: None, token: String::new(), project: None, part: "" }
    }

    /// The parts of a project: where they are, and what they are called.
    pub(crate) const PARTS: [(&str, &str); 3] =
        [("keys", "API keys"), ("members", "Members"), ("audit", "Audit log")];
}
