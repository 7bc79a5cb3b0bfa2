//! A double of targets that speak HTTP: it takes what they take, and remembers what came.
//!
//! It answers as the documentation of each says, and refuses a document that is there already as `_bulk` does. It stands in where the real receiver
//! cannot run.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Came {
    pub path: String,
    pub headers: String,
    pub body: String,
}

/// A target at a port of this machine.
#[derive(Clone)]
pub struct Double {
    pub address: String,
    came: Arc<Mutex<Vec<Came>>>,
    /// Forms that asked for a token.
    tokens: Arc<Mutex<Vec<String>>>,
    /// The status of every answer from now on.
    status: Arc<Mutex<u16>>,
}

impl Double {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let double = Self { address, came: Arc::default(), tokens: Arc::default(), status: Arc::new(Mutex::new(200)) };
        let own = double.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        double
    }

    /// All that came and was taken in, in order.
    pub fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// Forms that asked for a token, which is given for an hour.
    pub fn tokens(&self) -> Vec<String> {
        self.tokens.lock().unwrap().clone()
    }

    pub fn answer_with(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = read(&mut reader) {
            let status = *self.status.lock().unwrap();
            let answer = if status < 300 { self.take(request) } else { json!({}) };
            let body = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn take(&self, request: Came) -> Value {
        if request.path.ends_with("/oauth2/v2.0/token") {
            self.tokens.lock().unwrap().push(request.body);
            return json!({ "token_type": "Bearer", "expires_in": 3600, "access_token": "token-of-the-double" });
        }
        let mut came = self.came.lock().unwrap();
        if request.path != "/_bulk" {
            came.push(request);
            return json!({ "code": 0, "ok": true, "ts": format!("{}.0", came.len()) });
        }
        let lines: Vec<String> = request.body.lines().map(str::to_owned).collect();
        let items: Vec<Value> = lines
            .chunks(2)
            .map(|pair| {
                let is_there = came.iter().any(|known| known.body.starts_with(&pair[0]));
                if !is_there {
                    came.push(Came { body: pair.join("\n"), ..request.clone() });
                }
                json!({ "create": { "status": if is_there { 409 } else { 201 } } })
            })
            .collect();
        json!({ "items": items })
    }
}

/// A receiver of syslog over TCP: what came on each connection, once it has ended.
#[derive(Clone)]
pub struct Receiver {
    pub address: String,
    came: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self { address: listener.local_addr().unwrap().to_string(), came: Arc::default() };
        let own = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                while let Some(message) = read_counted(&mut reader) {
                    own.came.lock().unwrap().push(message);
                }
            }
        });
        receiver
    }

    /// All messages, in order.
    pub fn came(&self) -> Vec<String> {
        self.came.lock().unwrap().clone()
    }
}

/// A message behind its length in octets.
fn read_counted(reader: &mut impl BufRead) -> Option<String> {
    let mut length = Vec::new();
    reader.read_until(b' ', &mut length).ok()?;
    let mut message = vec![0; std::str::from_utf8(&length).ok()?.trim().parse().ok()?];
    reader.read_exact(&mut message).ok()?;
    String::from_utf8(message).ok()
}

/// A mail server: it takes every mail, unless it is told to answer otherwise.
#[derive(Clone)]
pub struct MailServer {
    pub address: String,
    mails: Arc<Mutex<Vec<String>>>,
    /// What it answers a command, by its first word, instead of what it should.
    pub answers: Arc<Mutex<BTreeMap<&'static str, &'static str>>>,
}

impl MailServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self { address, mails: Arc::default(), answers: Arc::default() };
        let own = server.clone();
        std::thread::spawn(move || listener.incoming().flatten().filter_map(|stream| own.serve(stream)).count());
        server
    }

    /// All mails as they came over the line.
    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        stream.write_all(b"220 double\r\n").ok()?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
            let command = line.split([' ', '\r']).next().unwrap_or_default().to_owned();
            let answered = self.answers.lock().unwrap().get(command.as_str()).copied();
            if command == "DATA" && answered.is_none() {
                stream.write_all(b"354 go on\r\n").ok()?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    reader.read_line(&mut mail).ok()?;
                }
                if let Some(answer) = self.answers.lock().unwrap().get("mail") {
                    stream.write_all(answer.as_bytes()).ok()?;
                    continue;
                }
                self.mails.lock().unwrap().push(mail);
            }
            stream.write_all(answered.unwrap_or("250-double\r\n250 well\r\n").as_bytes()).ok()?;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Came> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let (mut headers, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        headers.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Came { path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
