//! Projects and their environments.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::refusal::Refusal;
use crate::service::Service;

/// A project.
#[derive(Clone, Debug, Serialize)]
pub struct Project {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
}

#[derive(Clone)]
pub(crate) struct Environment {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// What a project is to be.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NewProject {
    /// Its identifier; without one it gets a random one.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// The names of its environments.
    #[serde(default)]
    pub environments: Vec<String>,
}

/// Makes a project with its environments; the id and the names are each used once.
pub(crate) fn make(service: &Service, new: NewProject) -> Result<Project, Refusal> {
    let id = new.id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let name = new.name;
    service.database.transaction(|db| {
        if find(db, &id)?.is_some() {
            return Err(Refusal::InvalidRequest("there is a project of that id"));
        }
        insert(db, &id, &name)?;
        for environment in &new.environments {
            insert_environment(db, &id, environment)?;
        }
        Ok(())
    })?;
    Ok(Project { id, name })
}

fn insert(db: &Connection, id: &str, name: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO microtica_projects (id, name) VALUES (?1, ?2)";
    db.execute(sql, [id, name])?;
    Ok(())
}

/// A name that is there already is not made twice.
fn insert_environment(db: &Connection, project: &str, name: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO microtica_environments (id, project_id, name) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        [&Uuid::new_v4().to_string(), project, name],
    )?;
    Ok(())
}

pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Project> {
    let (id, name) = (row.get(0)?, row.get(1)?);
    Ok(Project { id, name })
}

pub(crate) fn find(db: &Connection, id: &str) -> rusqlite::Result<Option<Project>> {
    let sql = "SELECT id, name FROM microtica_projects WHERE id = ?1";
    db.query_row(sql, [id], read).optional()
}

pub(crate) fn environments(db: &Connection, project: &str) -> rusqlite::Result<Vec<Environment>> {
    let sql = "SELECT id, name FROM microtica_environments WHERE project_id = ?1 ORDER BY name";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([project], |row| {
        let (id, name) = (row.get(0)?, row.get(1)?);
        Ok(Environment { id, name })
    })?;
    rows.collect()
}
