//! An alert as the one-line formats that SIEMs read from syslog: CEF (ArcSight) and LEEF 2.0 (QRadar).
//!
//! Both are a header and keys with values. Values come from logs, which an attacker may have written: whatever would end a value, a key or the line
//! is escaped in CEF; LEEF knows no escape, so a blank stands there. Keys are in order of importance: where there is no room, the last are left out.
//!
//! Not here: the syslog message around it (`syslog`).

use crate::alerts::brief::{Brief, Link, cut};
use crate::alerts::{Activity, Alert, Severity};

const VENDOR: &str = "apiwarden|apiwarden";
/// Longest value, characters: what the CEF dictionary gives `msg`.
const MAX_VALUE: usize = 1000;
/// Longest sentence where room is scarce.
const SHORT: usize = 200;
/// Separates keys in LEEF: a tab is what receivers of syslog escape.
const CARET: char = '^';

/// How grave, from 0 to 10, as both formats have it.
const fn grade(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 2,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}

/// What has happened to the incident.
pub const fn activity(alert: &Alert) -> &'static str {
    match alert.activity {
        Activity::Create => "created",
        Activity::Update => "updated",
        Activity::Close => "closed",
    }
}

/// What both formats tell, the most important first: the key in CEF and, for a custom one, its label, which is the key in LEEF.
fn facts(alert: &Alert, link: Option<&Link>) -> Vec<(&'static str, &'static str, String)> {
    let brief = Brief::of(alert, link);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (method, path) = alert.endpoint.as_deref().and_then(|endpoint| endpoint.split_once(' ')).unwrap_or_default();
    vec![
        ("externalId", "", format!("{}-{}", alert.id, alert.revision)),
        ("cs2", "incident", alert.id.clone()),
        ("cn1", "revision", alert.revision.to_string()),
        ("cs3", "activity", activity(alert).to_owned()),
        ("sourceServiceName", "", text(&alert.caller)),
        ("destinationServiceName", "", alert.vendor.clone()),
        ("dhost", "", alert.hosts.first().cloned().unwrap_or_default()),
        ("cat", "", alert.category.as_str().to_owned()),
        ("start", "", (alert.first_seen / 1000).to_string()),
        ("end", "", (alert.last_seen / 1000).to_string()),
        ("cs1", "mitre", text(&alert.technique)),
        ("cs4", "credential", text(&alert.credential)),
        ("cs5", "account", text(&alert.account)),
        ("requestMethod", "", method.to_owned()),
        ("request", "", path.to_owned()),
        ("cnt", "", alert.calls.to_string()),
        ("cs6", "reasons", brief.reasons.join("; ")),
        ("deviceCustomString7", "link", brief.link.unwrap_or_default()),
    ]
}

/// The alert in CEF, in at most `room` bytes.
pub fn cef(alert: &Alert, link: Option<&Link>, room: usize) -> String {
    let header = |text: &str| text.replace(char::is_control, " ").replace('\\', "\\\\").replace('|', "\\|");
    let version = env!("CARGO_PKG_VERSION");
    let (detector, title) = (header(&alert.detector), header(&cut(&alert.title, MAX_VALUE)));
    let head = format!("CEF:0|{VENDOR}|{version}|{detector}|{title}|{}|", grade(alert.severity));
    let time = format!("rt={}", alert.time / 1000);
    let message = |most| format!("msg={}", escaped(&cut(&alert.message, most)));
    let others = facts(alert, link).into_iter().filter(|(_, _, value)| !value.is_empty()).map(|(key, label, value)| {
        let value = escaped(&cut(&value, MAX_VALUE));
        match (key, label) {
            // Beyond the six custom strings the dictionary allows keys of one's own.
            ("deviceCustomString7", label) => format!("apiwarden{label}={value}"),
            (key, "") => format!("{key}={value}"),
            (key, label) => format!("{key}Label={label} {key}={value}"),
        }
    });
    joined(head, " ", time, message, others, room)
}

/// The alert in LEEF, in at most `room` bytes.
pub fn leef(alert: &Alert, link: Option<&Link>, room: usize) -> String {
    let plain = |text: &str| cut(text, MAX_VALUE).replace([CARET, char::REPLACEMENT_CHARACTER], " ");
    let version = env!("CARGO_PKG_VERSION");
    let detector = plain(&alert.detector).replace('|', " ");
    let head = format!("LEEF:2.0|{VENDOR}|{version}|{detector}|{CARET}|");
    let time = super::rfc3339(alert.time);
    let (grade, title) = (grade(alert.severity), plain(&alert.title));
    let first = format!("devTime={time}^devTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX^sev={grade}^title={title}");
    let message = |most| format!("msg={}", plain(&cut(&alert.message, most)));
    let others = facts(alert, link).into_iter().filter(|(_, _, value)| !value.is_empty()).map(|(key, label, value)| {
        let key = if label.is_empty() { key } else { label };
        format!("{key}={}", plain(&value))
    });
    joined(head, "^", first, message, others, room)
}

/// Header and keys, as far as there is room: first the time and the sentence, which is cut where it must be.
fn joined(
    mut text: String,
    separator: &str,
    time: String,
    message: impl Fn(usize) -> String,
    others: impl Iterator<Item = String>,
    room: usize,
) -> String {
    let has_room = |text: &str, more: &str| text.len() + separator.len() + more.len() <= room;
    text.push_str(&time);
    // Half of the room for the sentence: what follows says whom it is about.
    let long = message(MAX_VALUE);
    let message = if text.len() + long.len() <= room / 2 { long } else { message(SHORT) };
    for more in std::iter::once(message).chain(others) {
        if has_room(&text, &more) {
            text.push_str(separator);
            text.push_str(&more);
        }
    }
    text
}

/// A value of CEF's extension.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    #[test]
    fn an_alert_in_cef_says_who_whom_and_what() {
        let text = cef(&sample(), Some(&Link::try_from("https://soc.example/i?id={id}".to_owned()).unwrap()), 8192);
        let expected = "CEF:0|apiwarden|apiwarden|0.1.0|burst|Bulk upload to a known vendor|8|rt=1788224400000 \
            msg=payroll-svc sent 412 MB to content.dropboxapi.com, usual 1.1 MB externalId=aw-7f3c-1 cs2Label=incident cs2=aw-7f3c \
            cn1Label=revision cn1=1 cs3Label=activity cs3=created sourceServiceName=payroll-svc destinationServiceName=dropbox \
            dhost=content.dropboxapi.com cat=exfiltration start=1788220800000 end=1788224400000 cs1Label=mitre cs1=T1567.002 \
            cs4Label=credential cs4=fp_9a1c requestMethod=POST request=/2/files/upload cnt=212 cs6Label=reasons \
            cs6=bytes_out in 1h: 412 MB (usual: 1.1 MB) apiwardenlink=https://soc.example/i?id\\=aw-7f3c";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_alert_in_leef_says_the_same() {
        let text = leef(&sample(), None, 8192);
        assert!(
            text.starts_with("LEEF:2.0|apiwarden|apiwarden|0.1.0|burst|^|devTime=2026-09-01T01:00:00.000Z^"),
            "{text}"
        );
        assert!(text.contains("^sev=8^title=Bulk upload to a known vendor^msg=payroll-svc sent 412 MB"), "{text}");
        assert!(
            text.contains("^incident=aw-7f3c^revision=1^activity=created^sourceServiceName=payroll-svc^"),
            "{text}"
        );
    }

    #[test]
    fn no_value_ends_itself_its_line_or_begins_a_key() {
        let caller = Some("a|b\\ act=blocked\r\nCEF:0|^sev=0".to_owned());
        let alert = Alert { caller, title: "a|b\\c\nd".to_owned(), ..sample() };
        let text = cef(&alert, None, 8192);
        assert!(text.contains("|a\\|b\\\\c\u{fffd}d|8|"), "{text}");
        assert!(text.contains("sourceServiceName=a|b\\\\ act\\=blocked\u{fffd}\u{fffd}CEF:0|^sev\\=0 dest"), "{text}");
        let text = leef(&alert, None, 8192);
        assert!(text.contains("^sourceServiceName=a|b\\ act=blocked  CEF:0| sev=0^destination"), "{text}");
        assert_eq!(text.matches("^sev=").count(), 1);
    }

    #[test]
    fn where_there_is_no_room_the_sentence_is_cut_and_the_last_keys_are_left_out() {
        let long = Alert { message: "ü=".repeat(4000), credential: Some("c".repeat(900)), ..sample() };
        for text in [cef(&long, None, 1500), leef(&long, None, 1500)] {
            assert!(text.len() <= 1500, "{}", text.len());
            assert!(text.contains("msg=ü") && text.contains("externalId=aw-7f3c-1"), "{text}");
            assert!(!text.contains("ccc"), "{text}");
        }
    }
}
