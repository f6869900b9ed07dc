//! A service that is a script: it answers every request with what a function returns for it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What a client sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Without the first line.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Status, further header lines, body.
pub(crate) type Response = (u16, String, String);

pub(crate) struct Scripted {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
}

/// Hundreds of listeners would leave no descriptor below 1024, and libdbus needs one.
impl Drop for Scripted {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl Scripted {
    pub(crate) fn start(
        respond: impl Fn(&str, &Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (own, journal) = (url.clone(), requests.clone());
        let is_over = Arc::new(AtomicBool::new(false));
        let stops = is_over.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if stops.load(Ordering::Relaxed) {
                    return;
                }
                let mut reader = BufReader::new(&connection);
                let (mut first, mut head, mut length) = (String::new(), String::new(), 0);
                let _ = reader.read_line(&mut first);
                loop {
                    let mut line = String::new();
                    if !reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                        break;
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap_or(0);
                    }
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                let _ = reader.read_exact(&mut body);
                let mut words = first.split(' ').map(str::to_owned);
                let [method, path] = [(); 2].map(|()| words.next().unwrap_or_default());
                let body = String::from_utf8_lossy(&body).into_owned();
                let request = Request { method, path, head, body };
                let (status, header, body) = respond(&own, &request);
                journal.lock().expect("no panic").push(request);
                let head = format!(
                    "HTTP/1.1 {status} Scripted\r\n{header}Content-Type: application/json\r\nConnection: close\r\n"
                );
                let length = body.len();
                let _ = (&connection)
                    .write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes());
            }
        });
        Self { url, requests, is_over }
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}
