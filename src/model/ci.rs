use super::Secret;

/// A CI system whose log hides a value after a command for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiLog {
    GithubActions,
    AzurePipelines,
}

impl CiLog {
    /// The variable that the system sets in every job, by
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables> and
    /// <https://learn.microsoft.com/en-us/azure/devops/pipelines/build/variables>.
    pub const VARIABLES: [(&'static str, Self); 2] =
        [("GITHUB_ACTIONS", Self::GithubActions), ("TF_BUILD", Self::AzurePipelines)];

    pub fn mask(self, value: &Secret) -> String {
        let value = value.expose_secret();
        match self {
            // An empty mask would be an error, or hide everything.
            _ if value.is_empty() => String::new(),
            // docs.github.com, "Workflow commands": the value is percent-encoded.
            Self::GithubActions => format!("::add-mask::{}\n", value.replace('%', "%25")),
            // learn.microsoft.com, "Logging commands": `%` is written as `%AZP25`.
            Self::AzurePipelines => {
                format!("##vso[task.setsecret]{}\n", value.replace('%', "%AZP25"))
            }
        }
    }
}
