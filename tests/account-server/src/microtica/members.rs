//! Who may look after a project in the console. All members may do the same; the last one stays.

use rusqlite::{Connection, params};

use super::projects::{self, Project};
use crate::refusal::Refusal;
use crate::store::users::User;

/// Adding a member again has no effect.
pub(crate) fn join(db: &Connection, project: &str, user_id: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO microtica_members (project_id, user_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    db.execute(sql, [project, user_id])?;
    Ok(())
}

pub(crate) fn leave(db: &Connection, project: &str, user_id: &str) -> Result<(), Refusal> {
    if of_project(db, project)?.len() <= 1 {
        return Err(Refusal::InvalidRequest("a project has one member at least"));
    }
    let sql = "DELETE FROM microtica_members WHERE project_id = ?1 AND user_id = ?2";
    let gone = db.execute(sql, params![project, user_id])?;
    (gone > 0).then_some(()).ok_or(Refusal::NotFound)
}

pub(crate) fn of_project(db: &Connection, project: &str) -> rusqlite::Result<Vec<User>> {
    let mut statement = db.prepare(
        "SELECT users.* FROM users JOIN microtica_members AS member ON member.user_id = users.id
         WHERE member.project_id = ?1 ORDER BY users.email",
    )?;
    let rows = statement.query_map([project], crate::store::users::read)?;
    rows.collect()
}

/// The projects of a user, by their names.
pub(crate) fn projects_of(db: &Connection, user_id: &str) -> rusqlite::Result<Vec<Project>> {
    let mut statement = db.prepare(
        "SELECT project.id, project.name FROM microtica_projects AS project
         JOIN microtica_members AS member ON member.project_id = project.id
         WHERE member.user_id = ?1 ORDER BY project.name, project.id",
    )?;
    let rows = statement.query_map([user_id], projects::read)?;
    rows.collect()
}

/// The project, if the user is a member.
pub(crate) fn project_of(
    db: &Connection,
    user_id: &str,
    project: &str,
) -> Result<Project, Refusal> {
    let own = projects_of(db, user_id)?.into_iter().find(|own| own.id == project);
    own.ok_or(Refusal::NotFound)
}
