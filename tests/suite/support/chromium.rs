//! A headless Chromium behind chromedriver, with a home of its own. However the tests end, both end with them, and the
//! home goes too.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use thirtyfour::TimeoutConfiguration;
use thirtyfour::common::capabilities::desiredcapabilities::Capabilities;
use thirtyfour::prelude::{WebDriver, WebDriverResult};

/// Waits until its standard input is closed, which needs no signal and no regular exit; then kills the group of
/// chromedriver, in which Chromium is: chromedriver itself leaves it running. Only chromedriver holds the standard output,
/// which therefore ends if it does not start.
const KEEPER: &str =
    r#"setsid "$@" & exec >&-; read -r _; kill -s KILL -- "-$!"; wait; rm -rf "$HOME""#;

const FLAGS: [&str; 10] = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    // A page that loads something from elsewhere must not wait for a network.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

/// A running chromedriver.
pub(super) struct Driver {
    url: String,
    /// The keeper listens to the one, and chromedriver writes into the other.
    _pipes: (ChildStdin, BufReader<ChildStdout>),
}

impl Driver {
    /// Starts chromedriver on a free port.
    pub(super) fn start() -> io::Result<Self> {
        let home = tempfile::Builder::new().prefix("my-chromium-").tempdir()?.keep();
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "sh", "chromedriver", "--port=0"]);
        command
            .env("HOME", &home)
            .env("TMPDIR", &home)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        // Control-C is only for the tests: the keeper has to outlive them.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = command.spawn()?;
        let lost = || io::Error::other("chromedriver does not start");
        let stdin = keeper.stdin.take().ok_or_else(lost)?;
        let mut lines = BufReader::new(keeper.stdout.take().ok_or_else(lost)?);
        let port = port(&mut lines)?.ok_or_else(lost)?;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), _pipes: (stdin, lines) })
    }

    /// Opens a Chromium.
    pub(super) async fn open(&self) -> WebDriverResult<WebDriver> {
        // A second provider in the process is no failure: the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let browser =
            WebDriver::builder(&self.url, capabilities()?).client(client).connect().await?;
        let bound = Some(Duration::from_secs(30));
        browser
            .update_timeouts(TimeoutConfiguration::new(bound, bound, Some(Duration::ZERO)))
            .await?;
        Ok(browser)
    }
}

/// The port, from the line that says that chromedriver was started on it.
fn port(lines: &mut BufReader<ChildStdout>) -> io::Result<Option<u16>> {
    for line in lines.lines() {
        let line = line?;
        let Some(port) = line.strip_prefix("ChromeDriver was started successfully on port ") else {
            continue;
        };
        return Ok(port.trim_end_matches('.').parse().ok());
    }
    Ok(None)
}

fn capabilities() -> WebDriverResult<Capabilities> {
    let mut flags = FLAGS.to_vec();
    // Chromium refuses to run as root in its sandbox.
    if rustix::process::geteuid().is_root() {
        flags.push("--no-sandbox");
    }
    let mut wanted = Capabilities::new();
    wanted.set("browserName", "chrome")?;
    wanted.set("acceptInsecureCerts", true)?;
    wanted.set("goog:chromeOptions", json!({ "args": flags }))?;
    wanted.set("goog:loggingPrefs", json!({"browser": "ALL"}))?;
    Ok(wanted)
}
