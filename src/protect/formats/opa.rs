//! Open Policy Agent: a Rego module, `data.apiwarden.egress.allow`.
//!
//! The input is a request: `caller`, `scheme`, `host`, `method`, `path`. The logic is the same in every policy, and read back only where it is
//! unchanged; the entries are data.
//!
//! Not here: how a gateway makes an input of its request.
//!
//! Source: openpolicyagent.org, "Policy Language".

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::text::expression;
use crate::protect::entry::{Caller, Entry, Schemes, by_caller};
use crate::protect::format::Format;
use crate::protect::names::quoted;
use crate::protect::pattern::{of_host, of_path};
use crate::protect::policy::{Content, Fault, Rule};

/// What decides, up to the entries.
const LOGIC: &str = r#"package apiwarden.egress

import rego.v1

default allow := false

allow if {
	some entry in entries[input.caller]
	matches(entry)
}

allow if {
	input.caller != ""
	not entries[input.caller]
	some entry in newcomers
	matches(entry)
}

matches(entry) if {
	regex.match(entry.host, lower(input.host))
	input.scheme in entry.schemes
	regex.match(entry.method, input.method)
	regex.match(entry.path, split(input.path, "?")[0])
}

"#;
const ENTRIES: &str = "entries := {";
const NEWCOMERS: &str = "newcomers := [";
/// An expression that any method or path matches.
const ANY: &str = ".*";

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "opa",
    summary: "Open Policy Agent (Rego)",
    notes: &[
        "Use: data.apiwarden.egress.allow, with the input {\"caller\": …, \"scheme\": \"https\", \"host\": …, \"method\": \"GET\", \"path\": …}. The path is as sent,",
        "with dot segments resolved; a query is cut here. A caller is named as it is in the logs.",
    ],
    refuse: |_, _| None,
    write: |entries, _| write(entries),
    recognises: |text| text.contains("package apiwarden.egress"),
    read,
};

/// An entry as Rego has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    host: String,
    schemes: Vec<String>,
    method: String,
    path: String,
}

fn write(entries: &[Entry]) -> String {
    let mut out = format!("{LOGIC}{ENTRIES}\n");
    let by_caller = by_caller(entries);
    // Writing to a text cannot fail.
    for (caller, entries) in &by_caller {
        let Caller::Named(name) = caller else { continue };
        let _ = writeln!(out, "\t{}: [", quoted(name));
        entries.iter().for_each(|entry| line(&mut out, entry, "\t\t"));
        out.push_str("\t],\n");
    }
    let _ = writeln!(out, "}}\n\n{NEWCOMERS}");
    by_caller.get(&Caller::Newcomers).into_iter().flatten().for_each(|entry| line(&mut out, entry, "\t"));
    out.push_str("]\n\n");
    out
}

fn line(out: &mut String, entry: &Entry, indent: &str) {
    let anchored = |expression: &str| quoted(&format!("^(?:{expression})$"));
    let schemes: Vec<_> = entry.schemes.names().map(quoted).collect();
    let _ = writeln!(
        out,
        "{indent}# {}\n{indent}{{\"host\": {}, \"schemes\": [{}], \"method\": {}, \"path\": {}}},",
        entry.fact.words(),
        anchored(&of_host(&entry.host)),
        schemes.join(", "),
        anchored(entry.method.as_deref().unwrap_or(ANY)),
        anchored(&entry.path.as_deref().map_or_else(|| ANY.to_owned(), of_path)),
    );
}

fn read(text: &str) -> Result<Content, Fault> {
    let lines = (1..).zip(text.lines());
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.trim_start().starts_with('#'));
    for expected in LOGIC.lines().filter(|line| !line.is_empty()) {
        match lines.next() {
            Some((_, line)) if line == expected => {}
            found => {
                let line = found.map_or_else(|| text.lines().count(), |(line, _)| line);
                return Err(Fault::new(
                    line,
                    "other logic than that of `protect propose` cannot be judged: only entries may be edited",
                ));
            }
        }
    }
    let mut content = Content::default();
    let mut caller: Option<Caller> = None;
    for (number, line) in lines {
        let fault = || Fault::new(number, "an entry is expected as `protect propose` writes it, on one line");
        match line.trim() {
            ENTRIES => caller = None,
            NEWCOMERS => caller = Some(Caller::Newcomers),
            "]" | "]," | "}" => caller = None,
            line if caller.is_none() => {
                let name = line.strip_suffix(": [").and_then(|name| serde_json::from_str::<String>(name).ok());
                let name = name.ok_or_else(fault)?;
                content.callers.push(name.clone());
                caller = Some(Caller::Named(name));
            }
            line => {
                let line: Line = serde_json::from_str(line.strip_suffix(',').unwrap_or(line)).map_err(|_| fault())?;
                let caller = caller.clone().ok_or_else(fault)?;
                content.rules.push(rule(caller, number, &line).ok_or_else(fault)??);
            }
        }
    }
    Ok(content)
}

/// A rule; `None` where an expression is not anchored, as those of `protect propose` are: it would match more than it shows.
fn rule(caller: Caller, number: usize, line: &Line) -> Option<Result<Rule, Fault>> {
    let inner = |expression: &str| Some(expression.strip_prefix("^(?:")?.strip_suffix(")$")?.to_owned());
    let has = |scheme: &str| line.schemes.iter().any(|own| own == scheme);
    let schemes = Some(Schemes { tls: has("https"), plain: has("http") });
    let (host, method, path) = (inner(&line.host)?, inner(&line.method)?, inner(&line.path)?);
    // Any method is no method; others are plain names.
    let method = (method != ANY).then_some(method);
    if method.iter().any(|method| !method.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        return None;
    }
    let built = expression(number, &host).and_then(|host| {
        let path = (path != ANY).then(|| expression(number, &path)).transpose()?;
        Ok(Rule { caller, host, schemes, method, path })
    });
    Some(built)
}
