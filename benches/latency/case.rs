//! One program, its request and the expected answer.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// A program, its arguments, variables and input, and a text that its output contains.
pub(crate) struct Case {
    pub(crate) name: String,
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    input: String,
    answer: String,
}

impl Case {
    /// A program without input and output.
    pub(crate) fn new(
        name: impl Into<String>,
        program: impl AsRef<Path>,
        arguments: &[&str],
    ) -> Self {
        Self {
            name: name.into(),
            program: program.as_ref().to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            variables: Vec::new(),
            input: String::new(),
            answer: String::new(),
        }
    }

    pub(crate) fn home(self, home: &Path) -> Self {
        self.variable("HOME", &home.to_string_lossy())
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the input, and the text that the output contains.
    pub(crate) fn asked(mut self, input: &str, answer: &str) -> Self {
        (self.input, self.answer) = (input.to_owned(), answer.to_owned());
        self
    }

    fn command(&self) -> Command {
        self.prefixed(&[])
    }

    /// The same case, started by another program.
    pub(crate) fn prefixed(&self, by: &[&str]) -> Command {
        let line: Vec<_> = by
            .iter()
            .map(|&word| word.into())
            .chain([self.program.clone().into_os_string()])
            .collect();
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(&self.arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// Runs the program once: from the start until the output is complete and the process has ended.
    pub(crate) fn run(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let output = self.finish(self.command())?;
        let took = began.elapsed();
        self.check(&output)?;
        Ok(took)
    }

    /// The standard error, where a measuring program writes its results.
    pub(crate) fn findings(&self, by: &[&str]) -> anyhow::Result<String> {
        let mut command = self.prefixed(by);
        command.stderr(Stdio::piped());
        let output = self.finish(command)?;
        self.check(&output)?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn finish(&self, mut command: Command) -> anyhow::Result<std::process::Output> {
        let mut child = command
            .spawn()
            .with_context(|| format!("{} does not start", self.program.display()))?;
        // A program that reads nothing may have ended.
        let _ = child.stdin.take().context("a pipe")?.write_all(self.input.as_bytes());
        Ok(child.wait_with_output()?)
    }

    fn check(&self, output: &std::process::Output) -> anyhow::Result<()> {
        let is_answer = output.status.success()
            && String::from_utf8_lossy(&output.stdout).contains(&self.answer);
        ensure!(is_answer, "{}: does not answer as it should ({})", self.name, output.status);
        Ok(())
    }
}
