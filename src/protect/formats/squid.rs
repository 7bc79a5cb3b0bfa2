//! Squid: access lists for its configuration.
//!
//! Of a call by TLS a forward proxy sees the host that a tunnel is asked for and nothing more, so an entry is a caller and a host: by tunnel
//! alone, unless the caller calls the vendor in plaintext.
//!
//! Not here: `auth_param` and `http_port`, which are the house's; methods and paths.
//!
//! Source: squid-cache.org, "acl", "http_access".

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use regex::Regex;

use super::text::expression;
use crate::protect::entry::{Caller, Entry, Schemes, by_host};
use crate::protect::format::Format;
use crate::protect::identity::Identity;
use crate::protect::names::address;
use crate::protect::pattern::{domain_of, of_host};
use crate::protect::policy::{Content, Fault, Rule};
use crate::protect::proposal::Reason;

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "squid",
    summary: "Squid (access lists)",
    notes: &[
        "Use: include this file before any other http_access. Entries are hosts: Squid sees no path of a call by TLS. Callers are known by their",
        "address, by a header that only a trusted hop sets (--caller-header), or by the user that auth_param names.",
    ],
    refuse,
    write,
    recognises: |text| text.lines().any(|line| line.starts_with("http_access ")),
    read,
};

fn refuse(entry: &Entry, _: &Identity) -> Option<Reason> {
    let is_host = entry.host.parse::<IpAddr>().map_or(true, |address| address.is_ipv4());
    match &entry.caller {
        // Words are split at blanks, a quotation mark names a file, a dash begins an option.
        Caller::Named(name) if !is_word(name) || name == "REQUIRED" => Some(Reason::FormatCaller),
        _ => (!is_host).then_some(Reason::FormatHost),
    }
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@:/+-".contains(&byte))
}

/// Who calls, as an access list.
fn caller_list(name: &str, identity: &Identity) -> String {
    match (address(name), identity.header()) {
        (Some(_), _) => format!("src {name}"),
        (None, Some(header)) => format!("req_header {header} ^{}$", escaped(name)),
        (None, None) => format!("proxy_auth {name}"),
    }
}

/// Of what a word may have, these mean something else in an expression.
fn escaped(name: &str) -> String {
    name.replace('.', r"\.").replace('+', r"\+")
}

fn write(entries: &[Entry], identity: &Identity) -> String {
    let entries = by_host(entries);
    let mut out = String::new();
    let (mut callers, mut hosts) = (BTreeMap::new(), BTreeMap::new());
    for entry in &entries {
        if let Caller::Named(name) = &entry.caller {
            let next = callers.len() + 1;
            callers.entry(name).or_insert(next);
        }
        let next = hosts.len() + 1;
        hosts.entry(&entry.host).or_insert(next);
    }
    // Writing to a text cannot fail.
    for (name, number) in &callers {
        let _ = writeln!(out, "acl caller_{number} {}", caller_list(name, identity));
    }
    for (host, number) in &hosts {
        // `-n`: the name that an address has elsewhere, its owner chooses.
        let _ = match domain_of(host).is_some() {
            true => writeln!(out, "acl host_{number} dstdom_regex -n ^{}$", of_host(host)),
            false => writeln!(out, "acl host_{number} dstdomain -n {host}"),
        };
    }
    out.push_str("acl tunnel method CONNECT\n");
    // Addresses first: a user is asked for only where that decides.
    let is_user = |entry: &&Entry| matches!(&entry.caller, Caller::Named(name) if address(name).is_none());
    let is_newcomer = |entry: &&Entry| entry.caller == Caller::Newcomers;
    let (newcomers, named): (Vec<_>, Vec<_>) = entries.iter().partition(is_newcomer);
    let (users, addresses): (Vec<_>, Vec<_>) = named.into_iter().partition(is_user);
    for entry in addresses.iter().chain(&users) {
        let Caller::Named(name) = &entry.caller else { continue };
        let caller = format!("caller_{}", callers[name]);
        allow(&mut out, entry, &caller, hosts[&entry.host]);
    }
    if !newcomers.is_empty() {
        for number in callers.values() {
            let _ = writeln!(out, "acl known any-of caller_{number}");
        }
        match identity.header() {
            Some(header) => drop(writeln!(out, "acl identified req_header {header} .")),
            None if users.is_empty() => out.push_str("acl identified src all\n"),
            None => out.push_str("acl identified proxy_auth REQUIRED\n"),
        }
        for entry in newcomers {
            allow(&mut out, entry, "identified !known", hosts[&entry.host]);
        }
    }
    out.push_str("http_access deny all\n");
    out
}

fn allow(out: &mut String, entry: &Entry, who: &str, host: usize) {
    let by = match entry.schemes {
        Schemes { tls: true, plain: true } => "",
        Schemes { plain: true, .. } => " !tunnel",
        _ => " tunnel",
    };
    let _ = writeln!(out, "# {}\nhttp_access allow {who} host_{host}{by}", entry.fact.words());
}

/// What an access list is of.
#[derive(Clone, Debug)]
enum List {
    Caller(String),
    Host(Regex),
    Tunnel,
    Known,
    Identified,
}

fn read(text: &str) -> Result<Content, Fault> {
    let mut lists: BTreeMap<&str, List> = BTreeMap::new();
    let mut content = Content::default();
    let mut is_closed = false;
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match &*words {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["acl", name, rest @ ..] => drop(lists.insert(name, list(number, rest)?)),
            ["http_access", "deny", "all"] => is_closed = true,
            ["http_access", "allow", names @ ..] if !is_closed => content.rules.push(rule(number, names, &lists)?),
            _ => {
                return Err(Fault::new(
                    number,
                    "a line that `protect check` cannot judge: access lists of `protect propose` are expected",
                ));
            }
        }
    }
    if !is_closed {
        return Err(Fault::new(
            text.lines().count(),
            "`http_access deny all` is missing at the end: Squid would do the opposite of the last line",
        ));
    }
    let callers = lists.into_values().filter_map(|list| if let List::Caller(name) = list { Some(name) } else { None });
    content.callers.extend(callers);
    Ok(content)
}

fn list(line: usize, words: &[&str]) -> Result<List, Fault> {
    let unescaped = |expression: &str| expression.replace('\\', "");
    Ok(match words {
        ["proxy_auth", "REQUIRED"] | ["src", "all"] | ["req_header", _, "."] => List::Identified,
        ["src" | "proxy_auth", name] => List::Caller((*name).to_owned()),
        ["req_header", _, name] if name.starts_with('^') && name.ends_with('$') && name.len() > 1 => {
            List::Caller(unescaped(&name[1..name.len() - 1]))
        }
        // A dot in front would be all below, and the domain itself.
        ["dstdomain", "-n", host] if !host.starts_with('.') => List::Host(expression(line, &of_host(host))?),
        ["dstdom_regex", "-n", host] if host.starts_with('^') && host.ends_with('$') && host.len() > 1 => {
            List::Host(expression(line, &host[1..host.len() - 1])?)
        }
        ["method", "CONNECT"] => List::Tunnel,
        ["any-of", ..] => List::Known,
        _ => return Err(Fault::new(line, "an access list that `protect check` cannot judge")),
    })
}

fn rule(line: usize, names: &[&str], lists: &BTreeMap<&str, List>) -> Result<Rule, Fault> {
    let (mut caller, mut host, mut schemes) = (None, None, Schemes { tls: true, plain: true });
    let fault = || Fault::new(line, "a rule of a caller, a host and perhaps `tunnel` is expected");
    for word in names {
        let (is_not, name) = word.strip_prefix('!').map_or((false, *word), |name| (true, name));
        match (lists.get(name).ok_or_else(|| Fault::new(line, "an access list that is not defined above"))?, is_not) {
            (List::Caller(name), false) => caller = Some(Caller::Named(name.clone())),
            (List::Identified, false) | (List::Known, true) => caller = Some(Caller::Newcomers),
            (List::Host(name), false) => host = Some(name),
            (List::Tunnel, is_not) => schemes = Schemes { tls: !is_not, plain: is_not },
            _ => return Err(fault()),
        }
    }
    let host: &Regex = host.ok_or_else(fault)?;
    Ok(Rule { caller: caller.ok_or_else(fault)?, host: host.clone(), schemes: Some(schemes), method: None, path: None })
}
