//! Runs `git http-backend` as a CGI program (RFC 3875): the request into it, its answer out of it.
//! Never holds a pack in memory.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Stdio;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, copy};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::extract::ClientAddress;

/// A longer header is not from git.
const LONGEST_HEADERS: u64 = 64 * 1024;

/// Lets git answer the request for the repository at `path` below `root`, as `user`.
pub(crate) async fn run(root: &Path, path: &str, user: &str, request: Request) -> Response {
    answer(root, path, user, request).await.unwrap_or_else(|error| {
        eprintln!("git http-backend: {error}");
        StatusCode::BAD_GATEWAY.into_response()
    })
}

async fn answer(root: &Path, path: &str, user: &str, request: Request) -> io::Result<Response> {
    let mut child = command(root, path, user, &request).spawn()?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    tokio::spawn(feed(request.into_body(), stdin));
    let mut stdout = BufReader::new(stdout);
    let (status, headers) = read_headers(&mut stdout).await?;
    Ok((status, headers, rest(stdout, child)).into_response())
}

fn command(root: &Path, path: &str, user: &str, request: &Request) -> Command {
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("REQUEST_METHOD", request.method().as_str())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("REMOTE_USER", user)
        .env("REMOTE_ADDR", client(request).to_string())
        .envs(from_headers(request.headers()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

fn client(request: &Request) -> IpAddr {
    let address = request.extensions().get::<ClientAddress>();
    address.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.0)
}

/// The headers that git reads, by the names that it reads them by. Without a length it reads to the end.
fn from_headers(headers: &HeaderMap) -> impl Iterator<Item = (&'static str, &str)> {
    const NAMES: [(&str, &str); 4] = [
        ("content-type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ];
    NAMES.into_iter().filter_map(|(header, variable)| {
        let value = headers.get(header)?.to_str().ok()?;
        Some((variable, value))
    })
}

/// Git may answer without reading everything: then the pipe breaks, and that is all.
async fn feed(body: Body, mut stdin: ChildStdin) -> io::Result<u64> {
    let body = body.into_data_stream().map_err(io::Error::other);
    copy(&mut StreamReader::new(body), &mut stdin).await
}

async fn read_headers(stdout: &mut BufReader<ChildStdout>) -> io::Result<(StatusCode, HeaderMap)> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    let mut lines = stdout.take(LONGEST_HEADERS).lines();
    loop {
        let line = lines.next_line().await?;
        let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("status") => {
                status = read_status(value)?;
            }
            Some((name, value)) => {
                headers.append(read_name(name)?, read_value(value)?);
            }
            None => return Ok((status, headers)),
        }
    }
}

fn read_status(value: &str) -> io::Result<StatusCode> {
    let number = value.split_whitespace().next().unwrap_or_default();
    number.parse().map_err(io::Error::other)
}

fn read_name(name: &str) -> io::Result<HeaderName> {
    name.parse().map_err(io::Error::other)
}

fn read_value(value: &str) -> io::Result<HeaderValue> {
    value.trim().parse().map_err(io::Error::other)
}

/// What follows the headers. The child lives as long as somebody reads it.
fn rest(stdout: BufReader<ChildStdout>, child: Child) -> Body {
    let rest = ReaderStream::new(stdout);
    Body::from_stream(rest.inspect_ok(move |_| {
        let _alive = &child;
    }))
}
