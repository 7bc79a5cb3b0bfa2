//! A conversation with a mail server (RFC 5321): TLS, login, one mail.
//!
//! A password goes over TLS alone. What the server says is read up to a bound, and nothing of it but its code is told.
//!
//! Not here: what a mail says (`smtp`).

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::super::SinkError;
use super::super::http::Hidden;
use super::super::tcp::{Connection, Endpoint, own_host};

/// Longest answer, bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// How the connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS after the first words, or none at all: port 587.
    #[default]
    StartTls,
    /// TLS from the first byte: port 465.
    Tls,
    /// No TLS: for a relay on the same machine.
    None,
}

/// A mail server, and who we are there.
#[derive(Debug)]
pub struct Server {
    /// The sink's name, for errors.
    pub name: String,
    pub endpoint: Endpoint,
    pub security: Security,
    pub login: Option<(String, Hidden)>,
}

/// From whom to whom.
#[derive(Debug)]
pub struct Envelope<'a> {
    pub from: &'a str,
    pub to: Vec<&'a str>,
}

/// Why a conversation ended.
enum Problem {
    Connection(io::Error),
    /// The server answers a command with this code.
    Answer(&'static str, u16),
    /// It refuses the mail for what it is.
    Mail,
}

impl From<io::Error> for Problem {
    fn from(problem: io::Error) -> Self {
        Self::Connection(problem)
    }
}

impl Server {
    /// Sends a mail; `uid` names it in errors.
    ///
    /// # Errors
    /// [`SinkError::Unreachable`], [`SinkError::Smtp`] or [`SinkError::RefusedBy`].
    pub fn send(&self, uid: &str, envelope: &Envelope<'_>, mail: &[u8]) -> Result<(), SinkError> {
        let target = || self.name.clone();
        self.converse(envelope, mail).map_err(|problem| match problem {
            Problem::Connection(problem) => Endpoint::unreachable(&self.name, &problem),
            Problem::Answer(command, code) => SinkError::Smtp { target: target(), command, code },
            Problem::Mail => SinkError::RefusedBy { target: target(), uid: uid.to_owned(), status: None },
        })
    }

    fn converse(&self, envelope: &Envelope<'_>, mail: &[u8]) -> Result<(), Problem> {
        let mut session = self.greeted()?;
        if let Some((user, password)) = &self.login {
            session.log_in(user, password)?;
        }
        session.ask("MAIL", &format!("MAIL FROM:<{}>", envelope.from))?;
        let mut refused = Vec::new();
        for to in &envelope.to {
            match session.ask("RCPT", &format!("RCPT TO:<{to}>")) {
                // Who has left the company must not keep mail from the others. Greylisting (4xx) asks for all to come again.
                Err(Problem::Answer(_, code @ 500..)) => refused.push(code),
                other => drop(other?),
            }
        }
        if let Some(code) = refused.first().copied() {
            if refused.len() == envelope.to.len() {
                return Err(Problem::Answer("RCPT", code));
            }
            tracing::warn!(sink = self.name, code, refused = refused.len(), "the mail server refuses recipients");
        }
        session.ask("DATA", "DATA")?;
        session.write(&stuffed(mail))?;
        match session.answer("DATA") {
            // Too large, or its content is not liked.
            Err(Problem::Answer(_, 500..)) => Err(Problem::Mail),
            other => other.map(drop),
        }?;
        // It is taken in: how the server ends the conversation does not matter.
        let _ = session.ask("QUIT", "QUIT");
        Ok(())
    }

    /// A session that has said hello, over TLS where it must be.
    fn greeted(&self) -> Result<Session, Problem> {
        let mut connection = self.endpoint.connect()?;
        if self.security == Security::Tls {
            connection = self.endpoint.secure(connection)?;
        }
        let mut session = Session(BufReader::new(connection));
        session.answer("the connection")?;
        session.hello()?;
        if self.security == Security::StartTls {
            session.ask("STARTTLS", "STARTTLS")?;
            // What came before TLS may be somebody else's: it must not be read as the server's.
            if !session.0.buffer().is_empty() {
                return Err(io::Error::from(ErrorKind::InvalidData).into());
            }
            session = Session(BufReader::new(self.endpoint.secure(session.0.into_inner())?));
            session.hello()?;
        }
        Ok(session)
    }
}

struct Session(BufReader<Connection>);

impl Session {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.0.get_mut().write_all(bytes)?;
        Ok(self.0.get_mut().flush()?)
    }

    fn hello(&mut self) -> Result<(), Problem> {
        self.ask("EHLO", &format!("EHLO {}", own_host())).map(drop)
    }

    fn log_in(&mut self, user: &str, password: &Hidden) -> Result<(), Problem> {
        let both = STANDARD.encode(format!("\0{user}\0{}", password.expose()));
        match self.ask("AUTH", &format!("AUTH PLAIN {both}")) {
            // This server knows the older way alone.
            Err(Problem::Answer(_, 504)) => {
                self.ask("AUTH", "AUTH LOGIN")?;
                self.ask("AUTH", &STANDARD.encode(user))?;
                self.ask("AUTH", &STANDARD.encode(password.expose())).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Says a line, and returns the code of the answer; `command` names it in errors.
    fn ask(&mut self, command: &'static str, line: &str) -> Result<u16, Problem> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.answer(command)
    }

    /// The code of an answer that is no failure.
    fn answer(&mut self, command: &'static str) -> Result<u16, Problem> {
        let mut bounded = (&mut self.0).take(MAX_ANSWER);
        loop {
            let mut line = Vec::new();
            bounded.read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            let code = line.get(..3).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
            match (code, line.get(3)) {
                (Some(200..=399), Some(b'-')) => {}
                (Some(code @ 200..=399), _) => return Ok(code),
                (Some(_), Some(b'-')) => {}
                (Some(code), _) => return Err(Problem::Answer(command, code)),
                (None, _) => return Err(io::Error::from(ErrorKind::InvalidData).into()),
            }
        }
    }
}

/// The mail as it goes over the line: a line that begins with a dot has one more, and a dot alone ends it.
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(mail.len() + 5);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_mail_ends_it() {
        assert_eq!(stuffed(b"a\r\n.\r\n..b"), b"a\r\n..\r\n...b\r\n.\r\n");
    }
}
