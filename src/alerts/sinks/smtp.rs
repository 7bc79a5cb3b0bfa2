//! Mail: each step a mail in its incident's thread, or all steps of a day in one.
//!
//! `Message-ID` is made of the step: mailboxes that know it already may drop what comes twice. A digest is sent when its day is over, by the
//! steps of the next day or an hour after midnight UTC, and until then stays in the sink's position, so that a restart loses nothing of it.
//!
//! Names come from logs, which an attacker may have written: they get into a mail without control characters, and `lettre` encodes headers.
//!
//! Not here: what is said to the server (`session`), and HTML.

mod session;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use serde::{Deserialize, Serialize};

use self::session::{Security, Server};
use super::http::Secret;
use super::remote::{Memory, read};
use super::tcp::{Certificates, Endpoint};
use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition, SinkSpec, Surroundings};
use crate::alerts::brief::{Brief, Link, cut};
use crate::alerts::{Activity, Alert, Route, Severity};

/// Most incidents that a digest names; of the others it says how many steps there were.
const MAX_NAMED: usize = 500;
/// Longest line of a digest, characters.
const MAX_LINE: usize = 300;
/// Microseconds.
const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// `type = "smtp"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The mail server, `host:port`.
    pub address: String,
    /// `starttls`, `tls` from the first byte, or `none`.
    #[serde(default)]
    pub security: Security,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// User and password, where the server asks for them.
    #[serde(default)]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// `daily`: one mail a day instead of one for each step.
    #[serde(default)]
    pub digest: Option<Period>,
    /// Tells several such sinks apart.
    #[serde(default)]
    pub name: Option<String>,
    /// The address of an incident, with `{id}`.
    #[serde(default)]
    pub link: Option<Link>,
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// How often a digest is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// Once a day, UTC.
    Daily,
}

impl SinkSpec for Smtp {
    const NAME: &'static str = "smtp";
    const SUMMARY: &'static str = "Mails each step in its incident's thread, or all steps of a day in one mail.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let from =
            mailbox(&self.from).ok_or(SinkError::Spec("field from: is no address, write `apiwarden@example.com`"))?;
        let to: Option<Vec<Mailbox>> = self.to.iter().map(|text| mailbox(text)).collect();
        let to = to.ok_or(SinkError::Spec("field to: is no address, write `[\"soc@example.com\"]`"))?;
        if to.is_empty() {
            return Err(SinkError::Spec("field to: is empty, write `[\"soc@example.com\"]`"));
        }
        let login = match (self.username, &self.password) {
            (Some(_), Some(_)) if self.security == Security::None => {
                return Err(SinkError::Spec("field password: is not sent without TLS, write security = \"starttls\""));
            }
            (Some(user), Some(password)) => Some((user, password.reveal("password", around)?)),
            (None, None) => None,
            _ => return Err(SinkError::Spec("fields username, password: write both, or none")),
        };
        let files = Certificates { ca_file: self.ca_file, ..Certificates::default() };
        let endpoint = Endpoint::of(&self.address, &files, around)?;
        let name = super::named(Self::NAME, self.name.as_deref(), endpoint.address());
        let server = Server { name: name.clone(), endpoint, security: self.security, login };
        let letters = Letters { from, to, link: self.link };
        Ok(Box::new(Plan(Arc::new(Checked { name, server, letters, is_daily: self.digest.is_some() }))))
    }
}

/// An address in ASCII, with a name before it or without.
fn mailbox(text: &str) -> Option<Mailbox> {
    text.parse().ok().filter(|mailbox: &Mailbox| AsRef::<str>::as_ref(&mailbox.email).is_ascii())
}

#[derive(Debug)]
struct Checked {
    name: String,
    server: Server,
    letters: Letters,
    is_daily: bool,
}

#[derive(Debug)]
struct Plan(Arc<Checked>);

impl SinkPlan for Plan {
    fn name(&self) -> String {
        self.0.name.clone()
    }

    fn route(&self) -> Route {
        if self.0.is_daily { Route::default() } else { Route::of_pages() }
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Open { plan: Arc::clone(&self.0), kept: Kept::default(), taken: BTreeSet::new() }))
    }
}

struct Open {
    plan: Arc<Checked>,
    kept: Kept,
    /// What was taken in an attempt that failed later.
    taken: BTreeSet<String>,
}

/// What must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Subjects of open incidents.
    subjects: Memory,
    digest: Digest,
}

impl Sink for Open {
    fn at_once(&self) -> usize {
        // A mail that comes twice is read twice.
        if self.plan.is_daily { usize::MAX } else { 1 }
    }

    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let plan = Arc::clone(&self.plan);
        for delivery in deliveries {
            let Some(alert) = delivery.alert.as_deref().filter(|_| !self.taken.contains(&delivery.uid)) else {
                continue;
            };
            if plan.is_daily {
                if self.kept.digest.is_over_at(alert.time) {
                    self.send_digest()?;
                }
                self.kept.digest.take(alert, plan.letters.link.as_ref());
            } else {
                let mail = plan.letters.step(&delivery.uid, alert, &mut self.kept.subjects);
                plan.server.send(&delivery.uid, &plan.letters.envelope(), &mail)?;
                if alert.activity == Activity::Close {
                    self.kept.subjects.forget(&alert.id);
                }
            }
            self.taken.insert(delivery.uid.clone());
        }
        self.taken.clear();
        Ok(())
    }

    fn rest(&mut self, now: i64) -> Result<bool, SinkError> {
        // What is late by less than an hour still belongs to its day.
        let is_due = self.kept.digest.is_over_at(now - HOUR);
        if is_due {
            self.send_digest()?;
        }
        Ok(is_due)
    }

    fn position(&self) -> SinkPosition {
        postcard::to_stdvec(&self.kept).map_or(SinkPosition::Nowhere, SinkPosition::Own)
    }

    fn resume(&mut self, position: &SinkPosition) -> Result<(), SinkError> {
        if let SinkPosition::Own(bytes) = position {
            self.kept = read(bytes);
        }
        Ok(())
    }
}

impl Open {
    fn send_digest(&mut self) -> Result<(), SinkError> {
        let Checked { server, letters, .. } = &*self.plan;
        let (uid, mail) = letters.digest(&self.kept.digest);
        match server.send(&uid, &letters.envelope(), &mail) {
            Err(problem) if problem.refused().is_some() => {
                tracing::error!(%problem, "the mail server refuses a digest: its alerts are in the alert store");
            }
            other => other?,
        }
        self.kept.digest = Digest::default();
        Ok(())
    }
}

/// The steps of a day, the last of each incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Digest {
    /// Days since the epoch.
    day: i64,
    steps: u32,
    incidents: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    id: String,
    severity: Severity,
    steps: u32,
    lines: [String; 3],
}

impl Digest {
    /// Whether it holds anything, and of a day before `time`.
    fn is_over_at(&self, time: i64) -> bool {
        self.steps > 0 && time.div_euclid(DAY) > self.day
    }

    fn take(&mut self, alert: &Alert, link: Option<&Link>) {
        if self.steps == 0 {
            self.day = alert.time.div_euclid(DAY);
        }
        self.steps += 1;
        let brief = Brief::of(alert, link);
        let lines = [brief.headline, format!("{}: {}", brief.subject, brief.sentence), brief.link.unwrap_or(brief.id)];
        let lines = lines.map(|line| cut(&line, MAX_LINE));
        let (id, severity) = (alert.id.clone(), alert.severity);
        if let Some(entry) = self.incidents.iter_mut().find(|entry| entry.id == id) {
            *entry = Entry { id, severity, steps: entry.steps + 1, lines };
        } else if self.incidents.len() < MAX_NAMED {
            self.incidents.push(Entry { id, severity, steps: 1, lines });
        }
    }

    fn day(&self) -> String {
        super::rfc3339(self.day * DAY).chars().take(10).collect()
    }

    /// The gravest first.
    fn text(&self) -> String {
        let mut incidents: Vec<&Entry> = self.incidents.iter().collect();
        incidents.sort_by_key(|entry| std::cmp::Reverse(entry.severity));
        let mut paragraphs =
            vec![format!("{} incidents, {} steps on {} (UTC).", incidents.len(), self.steps, self.day())];
        paragraphs.extend(incidents.iter().map(|entry| entry.lines.join("\n")));
        let named: u32 = incidents.iter().map(|entry| entry.steps).sum();
        if named < self.steps {
            paragraphs.push(format!("{} more steps are in the alert store: apiwarden alerts list", self.steps - named));
        }
        paragraphs.join("\n\n")
    }
}

/// How mails are written.
#[derive(Clone, Debug)]
struct Letters {
    from: Mailbox,
    to: Vec<Mailbox>,
    link: Option<Link>,
}

impl Letters {
    /// Sender and recipients, as the server is told them.
    fn envelope(&self) -> session::Envelope<'_> {
        session::Envelope { from: self.from.email.as_ref(), to: self.to.iter().map(|to| to.email.as_ref()).collect() }
    }

    /// A step's mail. An incident keeps the subject that it was opened with: mail programs thread by it, too.
    fn step(&self, uid: &str, alert: &Alert, subjects: &mut Memory) -> Vec<u8> {
        let brief = Brief::of(alert, self.link.as_ref());
        let (first, thread) = (format!("{}-1", alert.id), alert.revision > 1);
        subjects
            .keep(&alert.id, &cut(&format!("{}: {} [{}]", alert.severity.as_str(), alert.title, alert.id), MAX_LINE));
        let subject = subjects.of(&alert.id).unwrap_or_default();
        let subject = if thread { format!("Re: {subject}") } else { subject.to_owned() };
        let text = format!("{}\n\n{}", brief.headline, brief.to_text());
        self.mail(uid, thread.then_some(&first), subject, text)
    }

    fn digest(&self, digest: &Digest) -> (String, Vec<u8>) {
        let first = digest.incidents.first().map_or("", |entry| entry.id.as_str());
        let uid = format!("digest-{}-{first}", digest.day());
        let gravest = digest.incidents.iter().map(|entry| entry.severity).max().map_or("", Severity::as_str);
        let subject = format!("Alerts of {}: {} incidents, at most {gravest}", digest.day(), digest.incidents.len());
        let mail = self.mail(&uid, None, subject, digest.text());
        (uid, mail)
    }

    fn mail(&self, uid: &str, thread: Option<&String>, subject: String, text: String) -> Vec<u8> {
        let id = |uid: &str| {
            format!("<{}@{}>", uid.replace(|c: char| !c.is_ascii_alphanumeric(), "-"), self.from.email.domain())
        };
        let mut mail = Message::builder().from(self.from.clone()).message_id(Some(id(uid))).subject(subject).date_now();
        mail = self.to.iter().fold(mail, |mail, to| mail.to(to.clone()));
        if let Some(first) = thread {
            mail = mail.in_reply_to(id(first)).references(id(first));
        }
        // Nobody's absence is answered to a machine (RFC 3834).
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mail = mail.raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        // It fails without sender or recipients alone, and both are there.
        mail.header(ContentType::TEXT_PLAIN).body(text).map(|mail| mail.formatted()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
