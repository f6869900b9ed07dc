//! A server for clients that send a credential only over TLS: HTTP/1.1, one request per connection, and its own
//! certificate, which the client is configured to trust.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a client sent.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What it is told.
#[derive(Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// A header besides those of every answer: `Location: …`.
    pub(crate) header: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl From<(u16, Vec<u8>)> for Response {
    fn from((status, body): (u16, Vec<u8>)) -> Self {
        Self { status, header: None, body }
    }
}

/// Runs until the tests end.
pub(crate) struct TlsServer {
    /// `127.0.0.1:4711`
    pub(crate) address: String,
    /// The certificate, in PEM.
    pub(crate) certificate: String,
    seen: Arc<Mutex<Vec<(Request, u16)>>>,
}

impl TlsServer {
    /// Answers on a free port of 127.0.0.1.
    pub(crate) fn start<R: Into<Response>>(
        answer: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("the versions").with_no_client_auth();
        let config =
            Arc::new(config.with_single_cert(vec![cert.der().clone()], key).expect("a pair"));

        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let journal = seen.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (config, answer, journal) = (config.clone(), answer.clone(), journal.clone());
                // A client that does not trust the certificate breaks off.
                std::thread::spawn(move || drop(serve(connection, config, &*answer, &journal)));
            }
        });
        Self { address, certificate: cert.pem(), seen }
    }

    /// Every request so far and the status that it was answered with.
    pub(crate) fn seen(&self) -> Vec<(Request, u16)> {
        self.seen.lock().expect("no panic").clone()
    }

    /// The statuses of the responses below this path.
    pub(crate) fn statuses(&self, path: &str) -> Vec<u16> {
        self.seen()
            .iter()
            .filter(|(request, _)| request.path.starts_with(path))
            .map(|(_, status)| *status)
            .collect()
    }
}

fn serve<R: Into<Response>>(
    connection: TcpStream,
    config: Arc<ServerConfig>,
    answer: &impl Fn(&Request) -> R,
    journal: &Mutex<Vec<(Request, u16)>>,
) -> std::io::Result<()> {
    let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(session, connection));
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    stream.read_exact(&mut vec![0; length])?;
    let request = Request { path, headers };
    let Response { status, header, body } = answer(&request).into();
    journal.lock().expect("no panic").push((request, status));
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 {status} Answered\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    )?;
    write!(
        stream,
        "Content-Type: application/json\r\n{}\r\n",
        header.map(|it| it + "\r\n").unwrap_or_default()
    )?;
    stream.write_all(&body)?;
    stream.conn.send_close_notify();
    stream.flush()
}
