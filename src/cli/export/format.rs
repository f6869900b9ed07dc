//! The syntax of a variable for each shell and each CI system, as pure functions.

use clap::ValueEnum;

use crate::cli::variables::Assignment;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// sh, bash, zsh, and the CI systems that run a shell: GitLab, CircleCI, Buildkite
    Sh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// A .env file
    Dotenv,
    /// One JSON object
    Json,
    /// GitHub Actions: masked, then into the file in $GITHUB_ENV
    GithubActions,
    /// Azure Pipelines: a secret variable
    AzurePipelines,
}

impl Format {
    /// One variable on standard output.
    pub(super) fn line(self, Assignment { name, value }: &Assignment) -> String {
        let value = value.expose_secret();
        match self {
            // No character is special between single quotes, and a quote is written outside of them.
            Self::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
            Self::Fish => {
                format!("set -gx {name} '{}'\n", value.replace('\\', r"\\").replace('\'', r"\'"))
            }
            Self::Powershell => format!("$env:{name} = '{}'\n", powershell(value)),
            Self::Dotenv => format!("{name}={}\n", dotenv(value)),
            Self::Json => String::new(),
            // docs.github.com, "Workflow commands": the value is percent-encoded.
            Self::GithubActions => format!("::add-mask::{}\n", value.replace('%', "%25")),
            // learn.microsoft.com, "Logging commands": `%` is written as `%AZP25`.
            Self::AzurePipelines => {
                format!(
                    "##vso[task.setvariable variable={name};issecret=true]{}\n",
                    value.replace('%', "%AZP25")
                )
            }
        }
    }
}

/// PowerShell treats typographic quotes as quotes.
fn powershell(value: &str) -> String {
    value.chars().fold(String::new(), |mut quoted, c| {
        let times = if matches!(c, '\'' | '\u{2018}'..='\u{201b}') { 2 } else { 1 };
        quoted.extend(std::iter::repeat_n(c, times));
        quoted
    })
}

/// Single quotes, in which no reader of .env files expands anything; double quotes if the value contains a single one.
fn dotenv(value: &str) -> String {
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let escaped =
        value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('`', r"\`");
    format!("\"{escaped}\"")
}

pub(super) fn json(assignments: &[Assignment]) -> String {
    let fields: serde_json::Map<_, _> = assignments
        .iter()
        .map(|Assignment { name, value }| (name.clone(), value.expose_secret().into()))
        .collect();
    format!("{}\n", serde_json::Value::Object(fields))
}

/// A line of the file that GitHub reads. A token has no line break, and needs no delimiter.
pub(super) fn github_line(Assignment { name, value }: &Assignment) -> String {
    format!("{name}={}\n", value.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::{Assignment, Format, github_line};
    use crate::model::Secret;

    #[test]
    fn each_format_quotes_a_value() {
        let assignment =
            Assignment { name: "T".to_owned(), value: Secret::new(r#"a'b"c\d$e`f%g"#) };
        for (format, written) in [
            (Format::Sh, r#"export T='a'\''b"c\d$e`f%g'"#),
            (Format::Fish, r#"set -gx T 'a\'b"c\\d$e`f%g'"#),
            (Format::Powershell, r#"$env:T = 'a''b"c\d$e`f%g'"#),
            (Format::Dotenv, r#"T="a'b\"c\\d\$e\`f%g""#),
            (Format::GithubActions, r#"::add-mask::a'b"c\d$e`f%25g"#),
            (
                Format::AzurePipelines,
                r#"##vso[task.setvariable variable=T;issecret=true]a'b"c\d$e`f%AZP25g"#,
            ),
        ] {
            assert!(format.line(&assignment) == format!("{written}\n"), "{format:?}");
        }
        assert!(github_line(&assignment) == "T=a'b\"c\\d$e`f%g\n");
    }
}
