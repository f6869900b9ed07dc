//! How each shell and each CI system wants a variable to be written. Pure functions; each value comes out as it went in.

use clap::ValueEnum;

use crate::cli::variables::Assignment;

/// For whom a variable is written.
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
    /// What goes to standard output for one variable.
    pub(super) fn written(self, Assignment { name, value }: &Assignment) -> String {
        let value = value.expose_secret();
        match self {
            // Nothing is special between single quotes, and a quote itself is written outside of them.
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

/// PowerShell takes typographic quotes for quotes, too.
fn powershell(value: &str) -> String {
    value.chars().fold(String::new(), |mut quoted, c| {
        let times = if matches!(c, '\'' | '\u{2018}'..='\u{201b}') { 2 } else { 1 };
        quoted.extend(std::iter::repeat_n(c, times));
        quoted
    })
}

/// Single quotes, in which every reader of such files leaves all as it is; where there is one in the value, double ones.
fn dotenv(value: &str) -> String {
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let escaped =
        value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('`', r"\`");
    format!("\"{escaped}\"")
}

/// One object with every variable.
pub(super) fn json(assignments: &[Assignment]) -> String {
    let fields: serde_json::Map<_, _> = assignments
        .iter()
        .map(|Assignment { name, value }| (name.clone(), value.expose_secret().into()))
        .collect();
    format!("{}\n", serde_json::Value::Object(fields))
}

/// A line for the file that GitHub reads.
pub(super) fn github_line(Assignment { name, value }: &Assignment) -> String {
    // A value of one line needs no delimiter, and a token has one line.
    format!("{name}={}\n", value.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::{Assignment, Format, github_line};
    use crate::model::Secret;

    #[test]
    fn every_format_quotes_in_its_own_way() {
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
            assert!(format.written(&assignment) == format!("{written}\n"), "{format:?}");
        }
        assert!(github_line(&assignment) == "T=a'b\"c\\d$e`f%g\n");
    }
}
