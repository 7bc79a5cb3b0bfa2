//! What the audit logs of all vendors have in common.
//!
//! Not here: words for success and failure (`outcome`).

use std::borrow::Cow;

use super::outcome::of_word;
use super::url::{part, without_port};
use crate::calls::{Channel, Outcome, StepClass};
use crate::ingest::fields::Fields;

/// The first of these times that is there. Every vendor of audit logs writes UTC: a copy that has lost its offset is still UTC.
pub(super) fn time<P: Into<usize> + Copy>(fields: &mut Fields<'_>, paths: &[P]) -> i64 {
    let found = paths.iter().find(|path| fields.has(**path)).or(paths.first());
    found.copied().map_or(0, |path| fields.utc_time(path))
}

/// Who acts; where nobody is named, the address that the call came from.
pub(super) fn caller<'a>(named: Option<Cow<'a, str>>, address: Option<&Cow<'a, str>>) -> Cow<'a, str> {
    // What is no address, as Google's `private`, names nobody.
    let known = |text: &str| without_port(text).parse::<std::net::IpAddr>().is_ok();
    let address = address.filter(|address| known(address));
    named.or_else(|| address.and_then(|address| part(address, |text| Some(without_port(text))))).unwrap_or_default()
}

/// Through what was called, by the user agent: a browser is a person at the vendor's console.
pub(super) fn channel(agent: Option<&str>) -> Channel {
    match agent {
        None => Channel::Unknown,
        Some(agent) if agent.starts_with("Mozilla/") => Channel::Console,
        Some(_) => Channel::Program,
    }
}

/// How an operation ended by the vendor's word for it. A sign-in that failed was denied.
pub(super) fn outcome(word: &str, operation: &str) -> Option<Outcome> {
    match of_word(word) {
        Some(Outcome::ClientError) if StepClass::of(operation) == StepClass::Login => Some(Outcome::Denied),
        outcome => outcome,
    }
}

/// How an operation ended where the log only has what was done: well, unless the name of the event says otherwise.
pub(super) fn outcome_of_event(name: &str) -> Outcome {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["denied", "blocked", "rejected"]) {
        return Outcome::Denied;
    }
    match has(&["failed", "failure"]) {
        true => outcome("failed", &name).unwrap_or(Outcome::ClientError),
        false => Outcome::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_in_for_a_caller_without_its_port() {
        for (address, expected) in [
            ("198.51.100.7:28491", "198.51.100.7"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("198.51.100.7", "198.51.100.7"),
        ] {
            assert_eq!(caller(None, Some(&Cow::Borrowed(address))), expected);
        }
        assert_eq!(caller(Some("jo".into()), Some(&"198.51.100.7".into())), "jo");
        assert_eq!(caller(None, None), "");
    }

    #[test]
    fn a_failed_sign_in_is_denied_and_another_failure_the_callers() {
        assert_eq!(outcome("FAILURE", "user.session.start"), Some(Outcome::Denied));
        assert_eq!(outcome("FAILURE", "group.rename"), Some(Outcome::ClientError));
        assert_eq!(outcome("SUCCESS", "user.session.start"), Some(Outcome::Ok));
        assert_eq!(outcome_of_event("login.failed"), Outcome::Denied);
        assert_eq!(outcome_of_event("api_key.created"), Outcome::Ok);
    }
}
