//! A format: how an allow list is written for a gateway, and how such a file is read again.
//!
//! Every file begins with what it is and how to use it, and ends with what was left out, as comments.
//!
//! Not here: the formats (`formats`).

use std::collections::BTreeMap;

use super::entry::{Caller, Entry, time};
use super::error::ProtectError;
use super::identity::Identity;
use super::names::quoted;
use super::policy::{Content, Fault};
use super::proposal::{LeftOut, Proposal, Reason};
use crate::calls::is_of_buckets;

/// Things left out that are listed in the file; the rest is counted.
const MAX_LISTED: usize = 1_000;

/// A format. Its functions are plain, so that a format is one constant.
#[derive(Debug)]
pub struct Format {
    /// Name on the command line.
    pub name: &'static str,
    /// What reads the file.
    pub summary: &'static str,
    /// What whoever installs the file has to know, a line each.
    pub(super) notes: &'static [&'static str],
    /// Why an entry cannot be expressed.
    pub(super) refuse: fn(&Entry, &Identity) -> Option<Reason>,
    /// Writes entries, none of which it refuses.
    pub(super) write: fn(&[Entry], &Identity) -> String,
    /// Whether a text is of this format.
    pub(super) recognises: fn(&str) -> bool,
    /// Reads a text that it wrote.
    pub(super) read: fn(&str) -> Result<Content, Fault>,
}

/// A policy as written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The file's content.
    pub text: String,
    /// Entries that it expresses.
    pub entries: usize,
    /// Callers with entries of their own.
    pub callers: usize,
    /// Whether entries allow any bucket, because names of buckets are not known.
    pub has_buckets: bool,
    /// How many things were left out, by reason.
    pub left_out: BTreeMap<Reason, usize>,
}

impl Format {
    /// Writes a proposal.
    ///
    /// # Errors
    /// [`ProtectError::NothingLeft`].
    pub fn write(&self, proposal: &Proposal, identity: &Identity) -> Result<Written, ProtectError> {
        let mut left_out = proposal.left_out.clone();
        let mut entries = Vec::new();
        for entry in &proposal.entries {
            match (self.refuse)(entry, identity) {
                None => entries.push(entry.clone()),
                Some(reason) => left_out.push(refused(entry, reason)),
            }
        }
        let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
        left_out.iter().for_each(|left| *reasons.entry(left.reason).or_default() += 1);
        if entries.is_empty() {
            let told: Vec<_> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            return Err(ProtectError::NothingLeft { format: self.name, reasons: told.join("; ") });
        }
        let mut callers: Vec<&Caller> = entries.iter().map(|entry| &entry.caller).collect();
        callers.dedup();
        let callers = callers.iter().filter(|caller| ***caller != Caller::Newcomers).count();
        let has_newcomers = entries.iter().any(|entry| entry.caller == Caller::Newcomers);
        let has_buckets = entries.iter().any(|entry| is_of_buckets(&entry.host));
        let head = self.head(proposal, has_newcomers, has_buckets);
        let text = [head, (self.write)(&entries, identity), tail(&left_out)].concat();
        Ok(Written { text, entries: entries.len(), callers, has_buckets, left_out: reasons })
    }

    fn head(&self, proposal: &Proposal, has_newcomers: bool, has_buckets: bool) -> String {
        let (from, to) = (time(proposal.from), time(proposal.to));
        let mut lines = vec![
            format!("Egress allow list, least privilege, for {}: what is not listed is denied.", self.summary),
            format!("Proposed by apiwarden from the calls that its catalogue knows of, those seen from {from} to {to}."),
            "Numbers and times are of all calls in the catalogue. `apiwarden protect check` replays later logs against this file."
                .to_owned(),
        ];
        lines.extend(self.notes.iter().map(|note| (*note).to_owned()));
        lines.push(match has_newcomers {
            true => "Callers without entries may do what others do, without sensitive endpoints; `--newcomers deny` allows them nothing.",
            false => "Callers without entries may do nothing.",
        }.to_owned());
        if has_buckets {
            let any = "ANY BUCKET: the catalogue keeps no names of buckets, so entries for them allow every bucket, also that of a stranger.";
            lines.push(any.to_owned());
        }
        for incomplete in &proposal.incomplete {
            let (caller, kind) = (quoted(&incomplete.caller), &incomplete.kind);
            let names = incomplete.names;
            lines.push(format!("INCOMPLETE: {caller}: about {names} more names ({kind}) than the catalogue keeps"));
        }
        lines.iter().map(|line| format!("# {line}\n")).collect()
    }
}

fn refused(entry: &Entry, reason: Reason) -> LeftOut {
    let endpoint = [entry.method.as_deref(), entry.path.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    LeftOut {
        reason,
        caller: match &entry.caller {
            Caller::Named(name) => name.clone(),
            Caller::Newcomers => super::names::NEWCOMERS.to_owned(),
        },
        host: entry.host.clone(),
        endpoint,
        calls: entry.fact.calls,
        first_seen: entry.fact.first_seen,
        last_seen: entry.fact.last_seen,
    }
}

/// What was left out, as comments.
fn tail(left_out: &[LeftOut]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let mut lines = vec![format!("# Left out: {}", left_out.len())];
    for left in left_out.iter().take(MAX_LISTED) {
        let [caller, host, endpoint] = [&left.caller, &left.host, &left.endpoint].map(|name| quoted(name));
        let (calls, first, last) = (left.calls, time(left.first_seen), time(left.last_seen));
        let reason = left.reason;
        lines.push(format!("#   {caller} {host} {endpoint}: {reason}; {calls} calls, first {first}, last {last}"));
    }
    if left_out.len() > MAX_LISTED {
        lines.push(format!("#   and {} more", left_out.len() - MAX_LISTED));
    }
    lines.push(String::new());
    lines.join("\n")
}
