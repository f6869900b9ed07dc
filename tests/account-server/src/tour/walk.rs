//! The steps of the tour, in the order in which a new user takes them. Each checks what it shows, and the first that
//! does not hold ends the tour.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use account_server::git_host::create_repository;
use account_server::{Server, Settings};
use anyhow::{Context, ensure};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep_until, timeout};

use super::browser::{Browser, Page};
use super::build;
use super::sandbox::{Outcome, Sandbox, finish};
use super::screen::Screen;

const HELPER: &str = "my-credential-helper";
const EMAIL: &str = "ada@example.com";
const USERNAME: &str = "ada";

/// Long enough to use a token on a busy machine, and short enough to wait for its end.
const TOKEN_LIFETIME: Duration = Duration::from_secs(4);

/// How many programs want a token at the same moment.
const AT_ONCE: usize = 8;

const REPOSITORIES: &str = "repositories";
const REPOSITORY: &str = "hello.git";

/// Takes all steps, in `home`.
pub(super) async fn walk(
    screen: &Screen,
    home: &Path,
    helper: Option<PathBuf>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    screen.say(
        "A new user's first minutes with the helper, against an account service on this machine.",
    )?;
    screen.say("All of it happens in a temporary home: your own, your keyring and your settings are not touched.")?;
    screen.say("`$` is a program that is run, `>` a request that the tour sends; tokens are shown shortened.")?;
    let helper = build(screen, helper).await?;
    let by_hand = by_hand(&helper);
    let walk = Walk::start(screen, home, helper).await?;
    walk.log_in().await.context("logging in")?;
    let first = walk.get().await.context("getting a token")?;
    let its_end = Instant::now() + TOKEN_LIFETIME;
    walk.refresh(&first, its_end).await.context("refreshing")?;
    walk.clone_with_git().await.context("cloning with git")?;
    walk.log_out().await.context("logging out")?;
    screen.heading("Done: every step did what it says")?;
    screen.say(&format!(
        "In {:.1} s. The temporary home goes now. To try it by hand:\n",
        began.elapsed().as_secs_f32()
    ))?;
    screen.say(&by_hand)?;
    Ok(())
}

/// What to try, as it is typed at the top of the workspace.
fn by_hand(helper: &Path) -> String {
    let directory = helper.parent().unwrap_or(helper);
    let directory = match directory.strip_prefix(build::workspace()) {
        Ok(below) => format!("$PWD/{}", below.display()),
        Err(_) => directory.display().to_string(),
    };
    format!(
        "\
In one terminal a service that stays, whose tokens live a minute and whose accounts go when it is stopped:

  cargo run -p account-server -- serve --access-token-lifetime 1m

In a second one, a home for that terminal alone, and the helper by its short name:

  export HOME=\"$(mktemp -d)\" MY_NO_KEYRING=1 PATH=\"{directory}:$PATH\"
  {HELPER} login --email you@example.com --api-url http://127.0.0.1:8787

Open http://127.0.0.1:8787/inbox and click the link, or type the six digits where the login waits. Then:

  {HELPER} status
  {HELPER} get --explain </dev/null
  {HELPER} get --format header | curl -H @- http://127.0.0.1:8787/v1/me

Keys for machines are made in a console: sign in at http://127.0.0.1:8787/console with any address (its mail is in the
inbox), create a project and a key, copy it, and

  {HELPER} --provider microtica login --api-url http://127.0.0.1:8787
  {HELPER} --provider microtica env list --project ID"
    )
}

async fn build(screen: &Screen, helper: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    screen.heading("1. The helper")?;
    let helper = if let Some(helper) = helper {
        std::path::absolute(helper)?
    } else {
        screen.command(&build::SHOWN, "")?;
        build::helper().await?
    };
    ensure!(helper.is_file(), "there is no helper at {}", helper.display());
    let shown = helper.strip_prefix(build::workspace()).unwrap_or(&helper);
    screen.checked(&format!("`{HELPER}` below is {}", shown.display()))?;
    Ok(helper)
}

struct Walk<'a> {
    screen: &'a Screen,
    sandbox: Sandbox,
    browser: Browser,
    server: Server,
    /// What git says of itself, where there is one.
    git: Option<String>,
}

impl<'a> Walk<'a> {
    async fn start(screen: &'a Screen, home: &Path, helper: PathBuf) -> anyhow::Result<Self> {
        screen.heading("2. The account service")?;
        let sandbox = Sandbox::new(home, helper);
        let server = Server::start(Settings {
            access_token_lifetime: TOKEN_LIFETIME,
            poll_interval: Duration::from_secs(1),
            for_tests: true,
            git_root: Some(sandbox.path(REPOSITORIES)),
            ..Settings::default()
        })?;
        let browser = Browser::new(server.url());
        let health = browser.get("/health", None)?;
        ensure!(health.status == 200, "the service is not well: {}", health.text);
        screen.say(&format!("It listens at {}, keeps its accounts in memory,", server.url()))?;
        screen.say(&format!(
            "and its access tokens live {} s, so that you can see one end.",
            TOKEN_LIFETIME.as_secs()
        ))?;
        let git = git_version().await;
        if git.is_some() {
            create_repository(&sandbox.path(REPOSITORIES), REPOSITORY)?;
            screen.say(&format!(
                "It also hosts a git repository, {REPOSITORY}, for those who are logged in."
            ))?;
        }
        Ok(Self { screen, sandbox, browser, server, git })
    }

    /// The helper waits while the link in the mail is clicked, as it would for a person.
    async fn log_in(&self) -> anyhow::Result<()> {
        self.screen.heading("3. Log in, by a link in a mail")?;
        let url = self.server.url().to_owned();
        let arguments = ["login", "--email", EMAIL, "--username", USERNAME, "--api-url", &url];
        self.show_helper(&arguments, "")?;
        let mut login = self.sandbox.start_helper(&arguments)?;
        let messages = login.stderr.take().context("the helper has no standard error")?;
        let mut messages = BufReader::new(messages).lines();
        let first = timeout(Duration::from_secs(15), messages.next_line())
            .await
            .context("the helper says nothing")??;
        self.screen.output(&first.unwrap_or_default())?;

        let inbox = self.request("/inbox.json", None)?.json();
        let mail = &inbox["mails"][0];
        ensure!(mail["to"] == EMAIL, "no mail came");
        let link = mail["link"]
            .as_str()
            .and_then(|link| link.strip_prefix(&url))
            .context("the mail has no link")?;
        self.screen.output(&format!(
            "200: to {EMAIL}: {}",
            mail["subject"].as_str().unwrap_or_default()
        ))?;
        let page = self.request(link, None)?;
        self.screen.output(&format!("{}: {}", page.status, page.words().replace('\n', " ")))?;
        ensure!(page.status == 200 && page.text.contains(EMAIL), "the link does not log in");

        let outcome = finish(login).await?;
        while let Some(line) = messages.next_line().await? {
            self.screen.output(&line)?;
        }
        self.screen.output(&outcome.output)?;
        ensure!(outcome.status == Some(0), "the login ended with status {:?}", outcome.status);
        ensure!(outcome.output.contains(USERNAME), "the login does not say who is logged in");
        let kept = self.sandbox.path(".my/credentials.json");
        ensure!(kept.is_file(), "the login is not where it says");
        self.screen.checked(
            "the session is kept, in a file since the tour keeps away from your keyring",
        )?;
        Ok(())
    }

    /// The JSON that any program can ask for, and what the token in it is good for.
    async fn get(&self) -> anyhow::Result<String> {
        self.screen.heading("4. A token, for any program that asks")?;
        self.show_helper(&["get"], " </dev/null")?;
        let outcome = self.sandbox.helper(&["get"]).await?;
        self.show(&outcome)?;
        let token = token(&outcome)?;
        let me = self.me(&token)?;
        ensure!(me.status == 200 && me.json()["email"] == EMAIL, "the token is not {EMAIL}'s");
        self.screen.checked(&format!("the service takes it for {EMAIL}"))?;
        Ok(token)
    }

    /// The token ends; however many ask for the next one, the service is asked once.
    async fn refresh(&self, first: &str, its_end: Instant) -> anyhow::Result<()> {
        self.screen.heading("5. The token ends, and nobody notices")?;
        let before = self.server.refresh_requests();
        let left = its_end.saturating_duration_since(Instant::now());
        self.screen.say(&format!("Waiting {:.1} s for its end.", left.as_secs_f32()))?;
        sleep_until(its_end).await;
        let refused = self.me(first)?;
        ensure!(refused.status == 401, "the old token is still good");

        self.show_helper(
            &["get"],
            &format!(" </dev/null    # {AT_ONCE} of them at the same moment"),
        )?;
        let outcomes = join_all((0..AT_ONCE).map(|_| self.sandbox.helper(&["get"]))).await;
        let outcomes = outcomes.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        self.show(&outcomes[0])?;
        let tokens = outcomes.iter().map(token).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(tokens[0] != first, "the old token was handed out again");
        ensure!(
            tokens.iter().all(|token| *token == tokens[0]),
            "not all of them have the same token"
        );
        let me = self.me(&tokens[0])?;
        ensure!(me.status == 200, "the new token is refused");
        let refreshes = self.server.refresh_requests() - before;
        ensure!(refreshes == 1, "the service was asked for {refreshes} refreshes");
        self.screen.checked(&format!(
            "{AT_ONCE} programs, one new token; the service's count of refreshes: {refreshes}"
        ))?;
        Ok(())
    }

    async fn clone_with_git(&self) -> anyhow::Result<()> {
        self.screen.heading("6. git clone, without a question")?;
        let Some(version) = &self.git else {
            return Ok(self.screen.say("There is no git here: this step is left out.")?);
        };
        self.screen.say(version)?;
        let url = format!("{}/git/{REPOSITORY}", self.server.url());
        let helper = self.sandbox.git_helper();
        let clone = ["-c", "credential.helper=", "-c", &helper, "clone", &url, "hello"];
        self.show_git(&clone)?;
        let cloned = self.sandbox.git(&clone).await?;
        self.show(&cloned)?;
        ensure!(cloned.status == Some(0), "git ended with status {:?}", cloned.status);
        let log = ["-C", "hello", "log", "--oneline"];
        self.show_git(&log)?;
        let commits = self.sandbox.git(&log).await?;
        self.show(&commits)?;
        ensure!(
            commits.output.lines().count() == 1,
            "the clone has not the one commit of the repository"
        );
        ensure!(self.sandbox.path("hello/README.md").is_file(), "the clone has no README.md");

        let without = ["-c", "credential.helper=", "ls-remote", &url];
        self.show_git(&without)?;
        let refused = self.sandbox.git(&without).await?;
        self.show(&refused)?;
        ensure!(refused.status != Some(0), "the repository is open to everybody");
        self.screen.checked("git has its clone with the helper, and is refused without it")?;
        Ok(())
    }

    async fn log_out(&self) -> anyhow::Result<()> {
        self.screen.heading("7. Log out")?;
        self.show_helper(&["logout"], "")?;
        let outcome = self.sandbox.helper(&["logout"]).await?;
        self.show(&outcome)?;
        ensure!(outcome.status == Some(0), "the logout ended with status {:?}", outcome.status);
        let requests = self.server.requests();
        let revoked = requests
            .iter()
            .any(|request| request.path == "/v1/auth/logout" && request.status == Some(200));
        ensure!(revoked, "the service was not told");
        self.show_helper(&["get", "--format", "raw"], "")?;
        let outcome = self.sandbox.helper(&["get", "--format", "raw"]).await?;
        self.show(&outcome)?;
        ensure!(outcome.status == Some(1) && outcome.output.is_empty(), "there is still a token");
        self.screen
            .checked("the session is over on the service too, and `get` ends with status 1")?;
        Ok(())
    }

    /// `GET /v1/me` with a token.
    fn me(&self, token: &str) -> anyhow::Result<Page> {
        let page = self.request("/v1/me", Some(token))?;
        self.screen.output(&format!("{}: {}", page.status, page.text))?;
        Ok(page)
    }

    fn request(&self, path: &str, token: Option<&str>) -> anyhow::Result<Page> {
        let header =
            token.map(|token| format!("    Authorization: Bearer {token}")).unwrap_or_default();
        self.screen.request(path, &header)?;
        self.browser.get(path, token)
    }

    fn show_helper(&self, arguments: &[&str], behind: &str) -> anyhow::Result<()> {
        Ok(self.screen.command(&[&[HELPER], arguments].concat(), behind)?)
    }

    fn show_git(&self, arguments: &[&str]) -> anyhow::Result<()> {
        Ok(self.screen.command(&[&["git"], arguments].concat(), "")?)
    }

    fn show(&self, outcome: &Outcome) -> anyhow::Result<()> {
        self.screen.output(&outcome.messages)?;
        Ok(self.screen.output(&outcome.output)?)
    }
}

async fn git_version() -> Option<String> {
    let output = Command::new("git").arg("--version").stdin(Stdio::null()).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The token in the helper's answer, which must say how it is sent, and when it ends.
fn token(outcome: &Outcome) -> anyhow::Result<String> {
    ensure!(
        outcome.status == Some(0),
        "the helper ended with status {:?}: {}",
        outcome.status,
        outcome.messages
    );
    let answer: Value = serde_json::from_str(&outcome.output).context("the answer is no JSON")?;
    let token = answer["secret"].as_str().context("the answer has no secret")?.to_owned();
    let header = format!("Bearer {token}");
    ensure!(
        answer["version"] == 1 && answer["headers"]["Authorization"][0] == header.as_str(),
        "the answer has no header for the token"
    );
    ensure!(answer["expires_at"].is_string(), "the answer does not say when the token ends");
    Ok(token)
}
