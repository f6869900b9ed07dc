//! `account-server serve`: the settings as flags, and the addresses to open.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use account_server::{Server, Settings, Storage};
use clap::Args;
use humantime::parse_duration;

/// How the service is to behave. Spans are written like `15m`, `2s` or `60d`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// The file of the database; without one it is kept in memory.
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// An SMTP server spoken to without TLS; without one the mails are shown in the inbox.
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
    /// What the links in mails begin with.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// How long an access token lives.
    #[arg(long, value_name = "SPAN", default_value = "15m", value_parser = parse_duration)]
    access_token_lifetime: Duration,
    /// How long a session lives after its login and after each refresh.
    #[arg(long, value_name = "SPAN", default_value = "60d", value_parser = parse_duration)]
    session_lifetime: Duration,
    /// How long a replaced refresh token is still accepted.
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = parse_duration)]
    refresh_grace: Duration,
    /// How long a login may take.
    #[arg(long, value_name = "SPAN", default_value = "15m", value_parser = parse_duration)]
    device_code_lifetime: Duration,
    /// How often a device is told to ask.
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = parse_duration)]
    poll_interval: Duration,
    /// Lets a client log in as often as it likes.
    #[arg(long)]
    no_rate_limit: bool,
    /// Gives every token a `jti`, so that no two are alike.
    #[arg(long)]
    jti: bool,
    /// Serves the routes below /test/: anybody who can connect can be anybody.
    #[arg(long)]
    for_tests: bool,
    /// The directory of the git repositories to serve below /git/.
    #[arg(long, value_name = "DIRECTORY")]
    git_root: Option<PathBuf>,
}

impl From<Arguments> for Settings {
    fn from(given: Arguments) -> Self {
        Self {
            listen: given.listen,
            database: given.database.map_or(Storage::Memory, Storage::File),
            access_token_lifetime: given.access_token_lifetime,
            session_lifetime: given.session_lifetime,
            refresh_grace: given.refresh_grace,
            device_code_lifetime: given.device_code_lifetime,
            poll_interval: given.poll_interval,
            rate_limit: !given.no_rate_limit,
            smtp: given.smtp,
            public_url: given.public_url,
            jti: given.jti,
            for_tests: given.for_tests,
            git_root: given.git_root,
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let has_inbox = arguments.smtp.is_none();
    let server = Server::start(arguments.into())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "serving {}", server.url())?;
    writeln!(out, "console {}/console", server.url())?;
    if has_inbox {
        writeln!(out, "inbox   {}/inbox", server.url())?;
    }
    out.flush()?;
    drop(out);
    server.serve_for_ever();
    Ok(())
}
