//! `project list` and `env list`: the projects and environments that an API key may read.

use clap::Subcommand;
use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::{Output, or};
use crate::error::{Error, ErrorCode, Result};
use crate::http::microtica;
use crate::model::{LoginKind, Provider, ToolOutput};

#[derive(Subcommand)]
pub(super) enum ProjectCommand {
    /// List the projects that are visible to the key
    #[command(after_help = "Examples:\n  my-credential-helper --provider microtica project list")]
    List,
}

#[derive(Subcommand)]
pub(super) enum EnvCommand {
    /// List the environments of a project that are visible to the key: of `--project ID`, else of MICROTICA_PROJECT_ID, else
    /// of the configured project
    #[command(
        after_help = "Examples:\n  my-credential-helper --provider microtica env list --project PROJECT_ID"
    )]
    List,
}

pub(super) fn list_projects(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let provider = provider(engine)?;
    let (projects, _) = engine.call(&provider, "list the projects", microtica::projects)?;
    let rows = projects.iter().map(|project| [project.id.clone(), project.name.clone()]).collect();
    Ok(output.table(
        ["ID", "NAME"],
        rows,
        "No projects are visible to the key.",
        &json!({ "projects": projects }),
    ))
}

pub(super) fn list_environments(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let provider = provider(engine)?;
    let project = project(engine, &provider)?;
    let response = engine.call(&provider, "list the environments", |client, key| {
        microtica::environments(client, key, &project)
    });
    let (environments, _) = response.map_err(|error| match error.code {
        ErrorCode::Rejected if error.hint.is_none() => {
            error.with_hint("run `project list` for the projects that are visible to the key")
        }
        _ => error,
    })?;
    let row = |environment: &microtica::Environment| {
        let microtica::Environment { id, name, role } = environment;
        [id.clone(), name.clone(), or(role.as_ref(), "-")]
    };
    let rows = environments.iter().map(row).collect();
    let fields = json!({ "project": project, "environments": environments });
    Ok(output.table(
        ["ID", "NAME", "ROLE"],
        rows,
        "No environments of this project are visible to the key.",
        &fields,
    ))
}

fn provider(engine: &Engine<'_>) -> Result<Provider> {
    let provider = engine.context.provider(None)?;
    if provider.login == (LoginKind::ApiKey { is_microtica: true }) {
        return Ok(provider);
    }
    Err(Error::invalid(format!("{} has no projects", provider.name))
        .with_hint("add `--provider microtica`"))
}

fn project(engine: &Engine<'_>, provider: &Provider) -> Result<String> {
    let context = &engine.context;
    let variable = context.environment.text("MICROTICA_PROJECT_ID").map(|id| id.trim().to_owned());
    let configured = context.configuration()?.project(&provider.name).map(str::to_owned);
    context.overrides.project.clone().or(variable).or(configured).ok_or_else(|| {
        Error::invalid("no project given").with_hint(format!(
            "use `--project ID`, set MICROTICA_PROJECT_ID, or run `my-credential-helper --provider {} config set project ID`",
            provider.name
        ))
    })
}
