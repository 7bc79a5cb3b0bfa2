//! A double of the registry's HTTP API: a server of our own that gives the answers of `tests/wire/registry.json`.
//!
//! It answers `GET` by path as a registry does, an unknown path with 404, and while it is down everything with 503. It knows neither
//! subjects to be written nor compatibility; TLS it has none.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Registry, Spec, Urls};
use crate::ingest::connection::Property;

/// User and password that it asks for.
const AUTHORIZATION: &str = "authorization: Basic cmVhZGVyOmh1bnRlcjI=";

/// A server that runs as long as the test process.
pub(crate) struct Double {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    answers: Mutex<BTreeMap<String, Value>>,
    is_down: AtomicBool,
    asked: AtomicUsize,
}

impl Double {
    /// A server that knows the schemas of `tests/wire`.
    pub(crate) fn start() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/registry.json");
        let answers = Mutex::new(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap());
        let state = Arc::new(State { answers, is_down: AtomicBool::new(false), asked: AtomicUsize::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream.unwrap(), &shared));
            }
        });
        Self { address, state }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Arc<Registry> {
        // The first of the URLs never answers.
        let urls = vec!["http://127.0.0.1:1".to_owned(), format!("http://{}/", self.address)];
        let password = Some(Property::Text("hunter2".to_owned()));
        let spec = Spec { url: Urls::Several(urls), username: Some("reader".to_owned()), password, ca_file: None };
        Arc::new(spec.check(Path::new("")).unwrap())
    }

    /// Has it answer a path.
    pub(super) fn answer(&self, path: &str, answer: Value) {
        self.state.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Takes it down, or up again.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.state.is_down.store(is_down, Ordering::SeqCst);
    }

    /// How many requests there were.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, state: &State) {
    let mut lines = BufReader::new(stream).lines();
    // One connection may carry many requests.
    while let Some(Ok(request)) = lines.next() {
        let headers: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        state.asked.fetch_add(1, Ordering::SeqCst);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let known = state.answers.lock().unwrap().get(path).map(Value::to_string);
        let (status, body) = match known {
            _ if state.is_down.load(Ordering::SeqCst) => ("503 Service Unavailable", String::new()),
            _ if !headers.iter().any(|header| header.eq_ignore_ascii_case(AUTHORIZATION)) => {
                ("401 Unauthorized", String::new())
            }
            None => ("404 Not Found", r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned()),
            Some(body) => ("200 OK", body),
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
