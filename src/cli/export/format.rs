//! The syntax of a variable for each shell and each CI system, as pure functions.

use clap::ValueEnum;

use crate::cli::variables::Assignment;
use crate::model::{CiLog, Secret};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// sh, bash, zsh, and CI systems that run a shell: GitLab, CircleCI, Buildkite
    Sh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// The command prompt of Windows: `for /f "delims=" %i in ('COMMAND') do set "%i"`
    Cmd,
    /// A .env file
    Dotenv,
    /// One JSON object
    Json,
    /// GitHub Actions: masks the secret and appends it to the file in $GITHUB_ENV
    GithubActions,
    /// Azure Pipelines: a secret variable
    AzurePipelines,
}

impl Format {
    /// Whether the variable outlives this call in a shell or a file, where nothing refreshes it.
    pub(super) fn persists(self) -> bool {
        matches!(self, Self::Sh | Self::Fish | Self::Powershell | Self::Cmd | Self::Dotenv)
    }

    /// The line that hides a value in the log of a CI system.
    pub(super) fn mask(self, value: &Secret) -> String {
        match self {
            Self::GithubActions => CiLog::GithubActions.mask(value),
            Self::AzurePipelines => CiLog::AzurePipelines.mask(value),
            _ => String::new(),
        }
    }

    /// Whether the format has a syntax for this value.
    pub(super) fn can_write(self, value: &Secret) -> bool {
        self != Self::Cmd || !value.expose_secret().contains('"')
    }

    /// One variable on standard output.
    pub(super) fn line(self, Assignment { name, value, is_secret }: &Assignment) -> String {
        let value = value.expose_secret();
        match self {
            // No character is special between single quotes, and a quote is written outside of them.
            Self::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
            Self::Fish => {
                format!("set -gx {name} '{}'\n", value.replace('\\', r"\\").replace('\'', r"\'"))
            }
            Self::Powershell => format!("$env:{name} = '{}'\n", powershell(value)),
            // Nothing in the variable of `for /f` is special but a quote, which is refused: `can_write`.
            Self::Cmd => format!("{name}={value}\n"),
            Self::Dotenv => format!("{name}={}\n", dotenv(value)),
            Self::Json | Self::GithubActions => String::new(),
            Self::AzurePipelines => {
                let value = value.replace('%', "%AZP25");
                format!("##vso[task.setvariable variable={name};issecret={is_secret}]{value}\n")
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

/// Without quotes if no reader needs them: `docker --env-file` passes quotes on. Otherwise single quotes, in which no reader
/// of .env files expands anything; double quotes if the value contains a single one.
fn dotenv(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@,%".contains(&byte);
    if value.bytes().all(is_plain) {
        return value.to_owned();
    }
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
        .map(|Assignment { name, value, .. }| (name.clone(), value.expose_secret().into()))
        .collect();
    format!("{}\n", serde_json::Value::Object(fields))
}

/// A line of the file that GitHub reads. A token has no line break, and needs no delimiter.
pub(super) fn github_line(Assignment { name, value, .. }: &Assignment) -> String {
    format!("{name}={}\n", value.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::{Assignment, Format, github_line};
    use crate::model::Secret;

    #[test]
    fn each_format_quotes_a_value() {
        let assignment = assignment(r#"a'b"c\d$e`f%g"#, true);
        for (format, written) in [
            (Format::Sh, r#"export T='a'\''b"c\d$e`f%g'"#),
            (Format::Fish, r#"set -gx T 'a\'b"c\\d$e`f%g'"#),
            (Format::Powershell, r#"$env:T = 'a''b"c\d$e`f%g'"#),
            (Format::Cmd, r#"T=a'b"c\d$e`f%g"#),
            (Format::Dotenv, r#"T="a'b\"c\\d\$e\`f%g""#),
            (
                Format::AzurePipelines,
                r#"##vso[task.setvariable variable=T;issecret=true]a'b"c\d$e`f%AZP25g"#,
            ),
        ] {
            assert!(format.line(&assignment) == format!("{written}\n"), "{format:?}");
        }
        assert!(github_line(&assignment) == "T=a'b\"c\\d$e`f%g\n");
    }

    #[test]
    fn masks_are_encoded_and_never_empty() {
        let mask = |format: Format, value: &str| format.mask(&Secret::new(value));
        assert_eq!(mask(Format::GithubActions, "a%b"), "::add-mask::a%25b\n");
        assert_eq!(mask(Format::AzurePipelines, "a%b"), "##vso[task.setsecret]a%AZP25b\n");
        for format in [Format::GithubActions, Format::AzurePipelines, Format::Sh] {
            assert_eq!(mask(format, ""), "");
        }
        let line = Format::AzurePipelines.line(&assignment("token", false));
        assert!(line.contains("issecret=false"), "no secret: {line}");
    }

    #[test]
    fn a_plain_value_has_no_quotes_in_an_env_file() {
        for value in ["myc_0aZ", "eyJ.eyJ.c-_2", "2030-01-01T00:00:00Z", "a/b+c=="] {
            assert_eq!(Format::Dotenv.line(&assignment(value, true)), format!("T={value}\n"));
        }
        for value in ["a b", "a#b", "a$b", "a\\b", "a!b", "a;b", "~a b"] {
            let line = Format::Dotenv.line(&assignment(value, true));
            assert_eq!(line, format!("T='{value}'\n"));
        }
    }

    fn assignment(value: &str, is_secret: bool) -> Assignment {
        Assignment { name: "T".to_owned(), value: Secret::new(value), is_secret }
    }
}
