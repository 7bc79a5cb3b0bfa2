//! Kong: declarative configuration with a service a host, a route an endpoint, and an access control list on each route.
//!
//! What has no route is not found; what has one is for the groups that its list names. A consumer is a caller, and its group has its name.
//! Where the paths of two routes overlap Kong takes the one with more literal segments, so callers whose wider path matches too stand on its
//! list: what is allowed does not depend on which route Kong takes.
//!
//! Not here: how consumers authenticate, which is the house's; hosts by a pattern, since a service has one upstream.
//!
//! Source: developer.konghq.com, "Declarative configuration", "ACL", "Routes: regex priority".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::text::{at, each_document, expression, items, only, text, texts};
use crate::calls::is_of_buckets;
use crate::protect::entry::{Caller, Entry};
use crate::protect::format::Format;
use crate::protect::identity::Identity;
use crate::protect::names::{NEWCOMERS, quoted};
use crate::protect::pattern::{domain_of, of_host, of_path, whole};
use crate::protect::policy::{Content, Fault, Rule};
use crate::protect::proposal::Reason;
use crate::rules::yaml::Node;

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "kong",
    summary: "Kong Gateway (declarative configuration)",
    notes: &[
        "Use: deck gateway sync, or declarative_config. Enable an authentication plugin that names the consumer (key-auth, mtls-auth, jwt) and give",
        "each consumer its credential: without one, every call is denied. Consumers without entries of their own are newcomers when they are in",
        "the group \"(newcomers)\".",
    ],
    refuse,
    write,
    recognises: |text| text.contains("_format_version:"),
    read,
};

fn refuse(entry: &Entry, _: &Identity) -> Option<Reason> {
    // A tunnel has no path, and Kong does not pass it.
    let is_pattern = domain_of(&entry.host).is_some() && !is_of_buckets(&entry.host);
    (is_pattern || entry.is_tunnel()).then_some(Reason::FormatHost)
}

/// Method and path of a route.
type Request<'a> = (Option<&'a str>, Option<&'a str>);

fn group(caller: &Caller) -> &str {
    match caller {
        Caller::Named(name) => name,
        Caller::Newcomers => NEWCOMERS,
    }
}

fn write(entries: &[Entry], _: &Identity) -> String {
    let mut out = "_format_version: \"3.0\"\nconsumers:\n".to_owned();
    let named = |entry: &Entry| matches!(entry.caller, Caller::Named(_)).then(|| quoted(group(&entry.caller)));
    for name in entries.iter().filter_map(named).collect::<BTreeSet<_>>() {
        // Writing to a text cannot fail.
        let _ = write!(out, "  - username: {name}\n    acls: [{{ group: {name} }}]\n");
    }
    let mut services: BTreeMap<&str, BTreeMap<Request<'_>, Vec<&Entry>>> = BTreeMap::new();
    for entry in entries {
        let routes = services.entry(&entry.host).or_default();
        routes.entry((entry.method.as_deref(), entry.path.as_deref())).or_default().push(entry);
    }
    out.push_str("services:\n");
    for (number, (host, routes)) in (1..).zip(&services) {
        let is_plain = routes.values().flatten().all(|entry| !entry.schemes.tls);
        let (protocol, port) = if is_plain { ("http", 80) } else { ("https", 443) };
        // A bucket is told by the name that is asked for: the host under which all buckets lie answers for each.
        let (upstream, asked) = match domain_of(host) {
            Some(domain) => (quoted(domain), quoted(&format!("*.{domain}"))),
            None => (quoted(host), quoted(host)),
        };
        let _ = write!(
            out,
            "  - name: egress-{number}\n    protocol: {protocol}\n    host: {upstream}\n    port: {port}\n    routes:\n"
        );
        for (route, (request, of_route)) in (1..).zip(routes) {
            for entry in of_route {
                let _ = writeln!(out, "      # {}: {}", quoted(group(&entry.caller)), entry.fact.words());
            }
            let groups: BTreeSet<_> = routes
                .iter()
                .filter(|(wider, _)| covers(wider, request))
                .flat_map(|(_, entries)| entries)
                .collect::<Vec<_>>()
                .into_iter()
                .map(|entry| quoted(group(&entry.caller)))
                .collect();
            let groups = groups.into_iter().collect::<Vec<_>>().join(", ");
            let _ = write!(
                out,
                "      - name: egress-{number}-{route}\n        hosts: [{asked}]\n        preserve_host: true\n"
            );
            if let Some(method) = request.0 {
                let _ = writeln!(out, "        methods: [{}]", quoted(method));
            }
            let path = request.1.map_or_else(|| "/.*".to_owned(), of_path);
            let literal = request
                .1
                .map_or(0, |path| path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{')).count());
            let _ = write!(
                out,
                "        paths: [{}]\n        regex_priority: {literal}\n        strip_path: false\n        plugins:\n          - name: acl\n            \
                 config: {{ allow: [{groups}], hide_groups_header: true }}\n",
                quoted(&format!("~{path}$"))
            );
        }
    }
    out
}

/// Whether every request of a route is one of a wider route too.
fn covers(wider: &Request<'_>, request: &Request<'_>) -> bool {
    let method = wider.0.is_none() || wider.0 == request.0;
    let path = match (wider.1, request.1) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wider), Some(path)) => wider == path || whole(&of_path(wider)).is_ok_and(|wider| wider.is_match(path)),
    };
    method && path
}

fn read(text: &str) -> Result<Content, Fault> {
    let mut content = Content::default();
    each_document(text, |document| {
        only(document, &["_format_version", "consumers", "services"])?;
        if let Some((_, consumers)) = document.get("consumers") {
            for consumer in items(consumers)? {
                content.callers.push(self::text(at(consumer, &["username"])?)?);
            }
        }
        for service in items(at(document, &["services"])?)? {
            for route in items(at(service, &["routes"])?)? {
                content.rules.extend(rules(route)?);
            }
        }
        Ok(())
    })?;
    Ok(content)
}

fn rules(route: Node<'_>) -> Result<Vec<Rule>, Fault> {
    only(route, &["name", "hosts", "methods", "paths", "regex_priority", "strip_path", "preserve_host", "plugins"])?;
    let hosts = texts(at(route, &["hosts"])?)?;
    let methods = match route.get("methods") {
        Some((_, methods)) => texts(methods)?.into_iter().map(|(_, method)| Some(method)).collect(),
        None => vec![None],
    };
    let mut groups = Vec::new();
    for plugin in items(at(route, &["plugins"])?)? {
        if at(plugin, &["name"])?.text().as_deref() == Some("acl") {
            groups.extend(texts(at(plugin, &["config", "allow"])?)?);
        }
    }
    let mut rules = Vec::new();
    for (line, path) in texts(at(route, &["paths"])?)? {
        let path = path
            .strip_prefix('~')
            .ok_or_else(|| Fault::new(line, "a path that is no expression (~…) matches every path below it"))?;
        let path = expression(line, path)?;
        for (host_line, host) in &hosts {
            // Kong's asterisk is any number of labels.
            let host = host.strip_prefix('*').map_or_else(|| host.clone(), |domain| format!("{{bucket}}{domain}"));
            let host = expression(*host_line, &of_host(&host))?;
            for (method, (_, group)) in
                methods.iter().flat_map(|method| groups.iter().map(move |group| (method, group)))
            {
                let caller = if group == NEWCOMERS { Caller::Newcomers } else { Caller::Named(group.clone()) };
                rules.push(Rule {
                    caller,
                    host: host.clone(),
                    schemes: None,
                    method: method.clone(),
                    path: Some(path.clone()),
                });
            }
        }
    }
    Ok(rules)
}
