//! The formats that policies are written in: [`FORMATS`]. A new one is a file here and a line there.
//!
//! Not here: what stands in a policy (`proposal`).

mod envoy;
mod kong;
mod networkpolicy;
mod opa;
mod squid;
mod text;

use std::path::Path;

use super::error::ProtectError;
use super::format::Format;
use super::policy::Policy;

/// Every format.
pub const FORMATS: &[&Format] = &[&envoy::FORMAT, &kong::FORMAT, &squid::FORMAT, &networkpolicy::FORMAT, &opa::FORMAT];

impl Format {
    /// A format by its name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().copied().find(|format| format.name == name)
    }
}

impl Policy {
    /// Reads a policy file of any format, and says which.
    ///
    /// # Errors
    /// [`ProtectError`], with file and line.
    pub fn load(path: &Path) -> Result<(Self, &'static Format), ProtectError> {
        let io = |problem| ProtectError::Io { path: path.to_owned(), problem };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let Some(format) = FORMATS.iter().copied().find(|format| (format.recognises)(&text)) else {
            let formats = FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ");
            return Err(ProtectError::Unrecognised { path: path.to_owned(), formats });
        };
        let content = (format.read)(&text).map_err(|fault| ProtectError::Unreadable {
            path: path.to_owned(),
            line: fault.line,
            problem: fault.problem,
        })?;
        Ok((Self::new(content), format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Call, CallsBuilder, FingerprintKey, View};
    use crate::protect::entry::{Caller, Entry, Fact, Schemes};
    use crate::protect::identity::Identity;
    use crate::protect::policy::Why;
    use crate::protect::proposal::{LeftOut, Proposal, Reason};
    use std::sync::Arc;

    fn entry(caller: &str, host: &str, method: &str, path: &str) -> Entry {
        let fact = Fact {
            calls: 7,
            first_seen: 1_788_000_000_000_000,
            last_seen: 1_789_000_000_000_000,
            callers: 1,
            endpoints: 1,
            hosts: 1,
        };
        let caller = if caller == "*" { Caller::Newcomers } else { Caller::Named(caller.to_owned()) };
        let (method, path) = (Some(method.to_owned()), Some(path.to_owned()));
        Entry { caller, host: host.to_owned(), schemes: Schemes::TLS, method, path, fact }
    }

    fn proposal(entries: Vec<Entry>) -> Proposal {
        Proposal { entries, left_out: Vec::new(), incomplete: Vec::new(), from: 0, to: 1_789_000_000_000_000 }
    }

    fn read(format: &Format, text: &str) -> Policy {
        let content = (format.read)(text).unwrap_or_else(|fault| panic!("{}: {fault:?}\n{text}", format.name));
        assert!((format.recognises)(text), "{}", format.name);
        Policy::new(content)
    }

    fn against(policy: &Policy, caller: &str, method: &str, url: &str) -> Option<Why> {
        let key = FingerprintKey::from_text("only ever used in these tests", "a test").unwrap();
        let mut builder = CallsBuilder::new(Arc::new(key));
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let call = Call {
            time: 1_789_000_000_000_000,
            view: View::Egress,
            caller: caller.into(),
            host: host.into(),
            scheme: Some(scheme.into()),
            method: Some(method.into()),
            path: Some(format!("/{path}").into()),
            ..Call::default()
        };
        builder.push(&call, "test").unwrap();
        let calls = builder.finish();
        policy.against(&calls.relations()[0])
    }

    fn usual() -> Vec<Entry> {
        vec![
            entry("10.0.0.7", "api.stripe.com", "POST", "/v1/charges"),
            entry("billing", "api.stripe.com", "GET", "/v1/customers/{id}"),
            entry("billing", "api.stripe.com", "POST", "/v1/charges"),
            Entry {
                schemes: Schemes { tls: true, plain: true },
                ..entry("crm", "api.hubapi.com", "GET", "/crm/{rest}")
            },
            entry("crm", "*.zendesk.com", "GET", "/api/v2/tickets.json"),
            entry("crm", "{bucket}.s3.amazonaws.com", "GET", "/{rest}"),
            entry("*", "api.stripe.com", "POST", "/v1/charges"),
        ]
    }

    #[test]
    fn every_format_allows_what_is_listed_and_nothing_else_as_far_as_it_sees() {
        let identity = Identity::default();
        for format in FORMATS {
            let written = format.write(&proposal(usual()), &identity).unwrap();
            let policy = read(format, &written.text);
            let check = |caller: &str, method: &str, url: &str| against(&policy, caller, method, url);
            let sees_paths = !matches!(format.name, "squid" | "networkpolicy");
            let sees_schemes = matches!(format.name, "squid" | "networkpolicy" | "opa");
            let endpoint = sees_paths.then_some(Why::Endpoint);
            let name = format.name;
            assert_eq!(check("billing", "GET", "https://api.stripe.com/v1/customers/cus_9"), None, "{name}");
            assert_eq!(check("billing", "POST", "https://api.stripe.com/v1/charges/?a=b"), None, "{name}");
            assert_eq!(check("billing", "DELETE", "https://api.stripe.com/v1/charges"), endpoint, "{name}");
            assert_eq!(check("billing", "GET", "https://api.stripe.com/v1/payouts"), endpoint, "{name}");
            assert_eq!(check("billing", "PUT", "https://transfer.sh/x"), Some(Why::Host), "{name}");
            let plain = check("billing", "POST", "http://api.stripe.com/v1/charges");
            assert_eq!(plain, sees_schemes.then_some(Why::Scheme), "{name}");
            assert_eq!(check("crm", "GET", "http://api.hubapi.com/crm/v3/objects"), None, "{name}");
            assert_eq!(check("crm", "POST", "https://api.stripe.com/v1/charges"), Some(Why::Host), "{name}");
            assert_eq!(check("crm", "GET", "https://acme.s3.amazonaws.com/a/b"), None, "{name}");
            assert_eq!(check("billing", "GET", "https://acme.s3.amazonaws.com/a/b"), Some(Why::Host), "{name}");
            let wide = check("crm", "GET", "https://acme.zendesk.com/api/v2/tickets.json");
            assert_eq!(wide, (name == "kong").then_some(Why::Host), "{name}");
            assert_eq!(check("returns", "POST", "https://api.stripe.com/v1/charges"), None, "{name}");
            assert_eq!(check("returns", "GET", "https://api.hubapi.com/crm/v3/objects"), Some(Why::Host), "{name}");
        }
    }

    #[test]
    fn every_entry_carries_the_fact_behind_it() {
        for format in FORMATS {
            let written = format.write(&proposal(usual()), &Identity::default()).unwrap();
            let facts = written.text.matches("7 calls,").count() + written.text.matches("14 calls,").count();
            assert!(facts >= 4, "{}: {facts}\n{}", format.name, written.text);
            assert!(
                written.text.contains("first 2026-08-29T") && written.text.contains("last 2026-09-10T"),
                "{}",
                format.name
            );
        }
    }

    #[test]
    fn without_newcomers_whoever_is_not_named_may_do_nothing() {
        for format in FORMATS {
            let named = usual().into_iter().filter(|entry| entry.caller != Caller::Newcomers).collect();
            let policy = read(format, &format.write(&proposal(named), &Identity::default()).unwrap().text);
            let why = against(&policy, "returns", "POST", "https://api.stripe.com/v1/charges");
            assert_eq!(why, Some(Why::Caller), "{}", format.name);
        }
    }

    /// Names that somebody wrote into a log to get more than a name into the file.
    const HOSTILE: [&str; 14] = [
        "x\" }]\n      \"evil\": {any: true}",
        "x'\n# y",
        "a: b # c",
        "- a",
        "{a: b}",
        "[a]",
        "%YAML",
        "*anchor",
        "&a !!binary x",
        "]\nallow := true",
        "all\nhttp_access allow all",
        "\"/etc/passwd\"",
        "-i",
        "$(x) `y` \\",
    ];

    #[test]
    fn a_hostile_name_is_a_name_or_is_left_out_and_never_more() {
        for format in FORMATS {
            for hostile in HOSTILE {
                let mut entries = vec![entry(hostile, "api.stripe.com", "POST", "/v1/charges")];
                entries.extend(usual());
                let left = LeftOut {
                    reason: Reason::Name,
                    caller: hostile.to_owned(),
                    host: hostile.to_owned(),
                    endpoint: hostile.to_owned(),
                    calls: 1,
                    first_seen: 0,
                    last_seen: 0,
                };
                // What the proposal leaves out does not come to a format.
                entries.retain(|entry| match &entry.caller {
                    Caller::Named(name) => crate::protect::names::is_caller(name),
                    Caller::Newcomers => true,
                });
                let whole = Proposal { left_out: vec![left], ..proposal(entries) };
                let written = format.write(&whole, &Identity::default()).unwrap();
                let (policy, name) = (read(format, &written.text), format.name);
                assert_eq!(
                    against(&policy, "billing", "PUT", "https://evil.example/x"),
                    Some(Why::Host),
                    "{name} {hostile:?}"
                );
                assert_eq!(
                    against(&policy, "other", "PUT", "https://evil.example/x"),
                    Some(Why::Host),
                    "{name} {hostile:?}"
                );
                assert_eq!(
                    against(&policy, "billing", "POST", "https://api.stripe.com/v1/charges"),
                    None,
                    "{name} {hostile:?}"
                );
                let of_hostile = against(&policy, hostile, "PUT", "https://evil.example/x");
                assert_eq!(of_hostile, Some(Why::Host), "{name} {hostile:?}");
            }
        }
    }

    #[test]
    fn a_template_of_syntax_is_a_path_in_every_format() {
        for path in ["/a\"b", "/a'b", "/{a}", "/a\\b", "/a#b", "/[a]|(b)*", "/$a^b", "/%41", "/a,b:c"] {
            if !crate::protect::names::is_path(path) {
                continue;
            }
            for format in FORMATS {
                let mut entries = usual();
                entries.push(entry("zeta", "api.x.io", "GET", path));
                let text = format.write(&proposal(entries), &Identity::default()).unwrap().text;
                let policy = read(format, &text);
                let other = against(&policy, "zeta", "GET", "https://api.y.io/b");
                assert_eq!(other, Some(Why::Host), "{} {path}", format.name);
            }
        }
    }

    #[test]
    fn what_propose_does_not_write_is_refused_with_its_line() {
        for (name, text, line) in [
            ("squid", "acl a src 10.0.0.1\nacl h dstdomain -n a.io\nredirect_program /x\nhttp_access deny all\n", 3),
            ("opa", "package apiwarden.egress\n\ndefault allow := true\n", 3),
            (
                "kong",
                "_format_version: \"3.0\"\nservices:\n  - name: a\n    routes:\n      - name: b\n        hosts: [a.io]\n",
                5,
            ),
            ("envoy", "resources:\n  - typed_config:\n      rules:\n        action: DENY\n", 4),
            ("networkpolicy", "kind: CiliumNetworkPolicy\nspec:\n  egress:\n    - toCIDR: [0.0.0.0/0]\n", 3),
        ] {
            let fault = (Format::named(name).unwrap().read)(text).unwrap_err();
            assert_eq!(fault.line, line, "{name}: {fault:?}");
        }
    }
}
