//! Envoy: a role-based access control filter, as the file that extension discovery (ECDS) reads. Envoy takes a new file in without a restart.
//!
//! A policy a caller; its permissions are hosts (`:authority`), methods and paths. Not here: the scheme, which Envoy as an egress proxy does not
//! see (it is Envoy that begins TLS), and the listener, which is the house's.
//!
//! Source: envoyproxy.io, "envoy.extensions.filters.http.rbac.v3.RBAC", "Extension config discovery service".

use std::fmt::Write;

use super::text::{at, each_document, expression, items, only, text};
use crate::protect::entry::{Caller, Entry, by_caller};
use crate::protect::format::Format;
use crate::protect::identity::Identity;
use crate::protect::names::{NEWCOMERS, address, quoted};
use crate::protect::pattern::{of_host, of_path};
use crate::protect::policy::{Content, Fault, Rule};
use crate::rules::yaml::Node;

const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const RESOURCE: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
/// A port that may stand behind a host.
const PORT: &str = "(?::[0-9]+)?";

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "envoy",
    summary: "Envoy (RBAC filter, as a file for extension config discovery)",
    notes: &[
        "Use: http_filters: [{ name: apiwarden-egress, config_discovery: { config_source: { path_config_source: { path: FILE.yaml } },",
        "type_urls: [type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC] } }, …], before the router, with normalize_path and",
        "merge_slashes on. Callers are known by their client certificate (--principal), a header that only a trusted hop sets",
        "(--caller-header), or their address.",
    ],
    refuse: |_, _| None,
    write,
    recognises: |text| text.contains(RBAC),
    read,
};

fn write(entries: &[Entry], identity: &Identity) -> String {
    let mut out = format!(
        "resources:\n  - \"@type\": {RESOURCE}\n    name: apiwarden-egress\n    typed_config:\n      \"@type\": {RBAC}\n      rules:\n        \
         action: ALLOW\n        policies:\n"
    );
    let by_caller = by_caller(entries);
    let named = || by_caller.keys().filter_map(|caller| name_of(caller));
    for (caller, entries) in &by_caller {
        let name = name_of(caller).unwrap_or(NEWCOMERS);
        let principal = match caller {
            Caller::Named(name) => principal(name, identity),
            Caller::Newcomers => newcomer(named(), identity),
        };
        // Writing to a text cannot fail.
        let _ = write!(out, "          {}:\n            permissions:\n", quoted(name));
        for entry in entries {
            let _ = writeln!(
                out,
                "              # {}\n              - and_rules: {{ rules: [{}] }}",
                entry.fact.words(),
                permission(entry)
            );
        }
        let _ = write!(out, "            principals:\n              - {principal}\n");
    }
    out
}

fn name_of(caller: &Caller) -> Option<&str> {
    match caller {
        Caller::Named(name) => Some(name),
        Caller::Newcomers => None,
    }
}

fn permission(entry: &Entry) -> String {
    let matching = |expression: &str| format!("{{ safe_regex: {{ regex: {} }} }}", quoted(expression));
    let header =
        |name: &str, value: String| format!("{{ header: {{ name: {}, string_match: {value} }} }}", quoted(name));
    let host = format!("(?i){}{PORT}", of_host(&entry.host));
    let mut rules = vec![header(":authority", matching(&host))];
    if let Some(method) = &entry.method {
        rules.push(header(":method", format!("{{ exact: {} }}", quoted(method))));
    }
    if let Some(path) = &entry.path {
        rules.push(format!("{{ url_path: {{ path: {} }} }}", matching(&of_path(path))));
    }
    rules.join(", ")
}

fn principal(name: &str, identity: &Identity) -> String {
    match (address(name), identity.header()) {
        (Some(address), _) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            format!(
                "{{ direct_remote_ip: {{ address_prefix: {}, prefix_len: {bits} }} }}",
                quoted(&address.to_string())
            )
        }
        (None, Some(header)) => {
            format!("{{ header: {{ name: {}, string_match: {{ exact: {} }} }} }}", quoted(header), quoted(name))
        }
        (None, None) => {
            format!("{{ authenticated: {{ principal_name: {{ exact: {} }} }} }}", quoted(&identity.principal(name)))
        }
    }
}

/// Whoever says who it is and is none of those with entries of their own.
fn newcomer<'a>(named: impl Iterator<Item = &'a str> + Clone, identity: &Identity) -> String {
    let by_address = named.clone().all(|name| address(name).is_some());
    let identified = match identity.header() {
        Some(header) => format!("{{ header: {{ name: {}, present_match: true }} }}", quoted(header)),
        None if by_address => "{ any: true }".to_owned(),
        None => "{ authenticated: {} }".to_owned(),
    };
    let named: Vec<_> = named.map(|name| principal(name, identity)).collect();
    format!("{{ and_ids: {{ ids: [{identified}, {{ not_id: {{ or_ids: {{ ids: [{}] }} }} }}] }} }}", named.join(", "))
}

fn read(text: &str) -> Result<Content, Fault> {
    let mut content = Content::default();
    each_document(text, |document| {
        for resource in items(at(document, &["resources"])?)? {
            let rules = at(resource, &["typed_config", "rules"])?;
            let action = at(rules, &["action"])?;
            if action.text().as_deref() != Some("ALLOW") {
                return Err(Fault::new(action.line(), "an action other than ALLOW cannot be judged"));
            }
            let policies = at(rules, &["policies"])?;
            let policies =
                policies.entries().ok_or_else(|| Fault::new(policies.line(), "policies by caller are expected"))?;
            for (name, _, policy) in policies {
                only(policy, &["permissions", "principals"])?;
                let caller = if name == NEWCOMERS { Caller::Newcomers } else { Caller::Named(name) };
                content.callers.extend(name_of(&caller).map(str::to_owned));
                for permission in items(at(policy, &["permissions"])?)? {
                    content.rules.push(rule(caller.clone(), permission)?);
                }
            }
        }
        Ok(())
    })?;
    Ok(content)
}

fn rule(caller: Caller, permission: Node<'_>) -> Result<Rule, Fault> {
    only(permission, &["and_rules"])?;
    let (mut host, mut method, mut path) = (None, None, None);
    for one in items(at(permission, &["and_rules", "rules"])?)? {
        only(one, &["header", "url_path"])?;
        let matched = |node: Node<'_>| -> Result<_, Fault> {
            let node = at(node, &["safe_regex", "regex"])?;
            expression(node.line(), &text(node)?)
        };
        let Some((_, header)) = one.get("header") else {
            path = Some(matched(at(one, &["url_path", "path"])?)?);
            continue;
        };
        only(header, &["name", "string_match"])?;
        let (name, value) = (at(header, &["name"])?, at(header, &["string_match"])?);
        match name.text().as_deref() {
            Some(":authority") => host = Some(matched(value)?),
            Some(":method") => method = Some(text(at(value, &["exact"])?)?),
            _ => return Err(Fault::new(name.line(), "a header other than :authority and :method cannot be judged")),
        }
    }
    let host =
        host.ok_or_else(|| Fault::new(permission.line(), "a permission without :authority allows every host"))?;
    Ok(Rule { caller, host, schemes: None, method, path })
}
