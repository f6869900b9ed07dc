//! The way from a machine to a server. A test holds what is sent, or loses it: then it reaches nobody, also later.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

const SIZE: usize = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    Open,
    Held,
    Lost,
}

#[derive(Clone, Copy)]
pub(super) enum Direction {
    Request,
    Response,
}

struct State {
    /// By direction.
    traffic: [Traffic; 2],
    requests: usize,
    /// Whether the response to a write is held.
    holds_writes: bool,
    /// Older connections lose everything.
    first: usize,
    connections: usize,
}

#[derive(Clone)]
pub(super) struct Way {
    pub(super) url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Way {
    /// In the network namespace of the calling thread.
    pub(super) fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().unwrap());
        let traffic = [Traffic::Open; 2];
        let state = State { traffic, requests: 0, holds_writes: false, first: 0, connections: 0 };
        let way = Self { url, state: Arc::new((Mutex::new(state), Condvar::new())) };
        let (to, listening) = (to.trim_start_matches("http://").to_owned(), way.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (to, way) = (to.clone(), listening.clone());
                std::thread::spawn(move || way.connect(client, &to));
            }
        });
        way
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, direction: Direction, traffic: Traffic) {
        self.state().traffic[direction as usize] = traffic;
        self.state.1.notify_all();
    }

    /// Nothing arrives, and nothing comes back.
    pub(super) fn cut(&self) {
        self.set(Direction::Request, Traffic::Lost);
        self.set(Direction::Response, Traffic::Lost);
    }

    /// What was held is sent; what was lost stays lost.
    pub(super) fn open(&self) {
        self.set(Direction::Request, Traffic::Open);
        self.set(Direction::Response, Traffic::Open);
    }

    /// The next write is carried out, and its response is held.
    pub(super) fn hold_response_of_write(&self) {
        self.state().holds_writes = true;
    }

    /// Loses what is held, and the rest of these connections.
    pub(super) fn lose_held(&self) {
        let mut state = self.state();
        state.first = state.connections + 1;
        drop(state);
        self.state.1.notify_all();
    }

    /// The parts of requests that a client has sent.
    pub(super) fn requests(&self) -> usize {
        self.state().requests
    }

    fn connect(&self, mut client: TcpStream, to: &str) {
        let number = {
            let mut state = self.state();
            state.connections += 1;
            state.connections
        };
        // A service closes a connection without a request: it is opened only when the first one arrives.
        let mut bytes = [0; SIZE];
        let Ok(length @ 1..) = client.read(&mut bytes) else { return };
        if !self.passes(number, Direction::Request, &bytes[..length]) {
            while matches!(client.read(&mut bytes), Ok(1..)) {}
            return;
        }
        let Ok(mut server) = TcpStream::connect(to) else { return };
        if server.write_all(&bytes[..length]).is_err() {
            return;
        }
        let (Ok(from_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else {
            return;
        };
        let way = self.clone();
        std::thread::spawn(move || {
            way.forward(number, Direction::Response, from_server, to_client);
        });
        self.forward(number, Direction::Request, client, server);
    }

    fn forward(&self, number: usize, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
        let (mut bytes, mut is_lost) = ([0; SIZE], false);
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            is_lost |= !self.passes(number, direction, &bytes[..length]);
            if !is_lost && to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }

    fn passes(&self, number: usize, direction: Direction, bytes: &[u8]) -> bool {
        let mut state = self.state();
        if matches!(direction, Direction::Request) {
            state.requests += 1;
            if state.holds_writes && bytes.starts_with(b"POST") {
                state.traffic[Direction::Response as usize] = Traffic::Held;
            }
        }
        let is_held = |state: &mut State| {
            state.traffic[direction as usize] == Traffic::Held && number >= state.first
        };
        let state = self.state.1.wait_while(state, is_held);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.traffic[direction as usize] == Traffic::Open && number >= state.first
    }
}
