//! Kubernetes: a CiliumNetworkPolicy for each caller. The NetworkPolicy of Kubernetes itself knows addresses and pods, and no host names.
//!
//! An entry is a caller, by a label of its pods, and a host with the port of its scheme. A policy about egress denies all other egress of the pods
//! that it selects, so what stays inside the cluster is allowed: this list is about third parties.
//!
//! Not here: methods and paths, which a packet filter does not see; ports other than 443 and 80, which no catalogue has.
//!
//! Source: docs.cilium.io, "Layer 3 policies: DNS based", "Layer 7 policies: DNS".

use std::fmt::Write;
use std::net::IpAddr;

use super::text::{at, each_document, expression, items, only, text};
use crate::calls::Name;
use crate::protect::entry::{Caller, Entry, Schemes, by_caller, by_host};
use crate::protect::format::Format;
use crate::protect::identity::Identity;
use crate::protect::names::{address, quoted};
use crate::protect::pattern::{domain_of, of_host};
use crate::protect::policy::{Content, Fault, Rule};
use crate::protect::proposal::Reason;
use crate::rules::yaml::Node;

/// Longest value of a label.
const MAX_LABEL: usize = 63;
/// Longest readable part of a policy's name.
const MAX_NAME: usize = 40;

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "networkpolicy",
    summary: "Kubernetes with Cilium (CiliumNetworkPolicy)",
    notes: &[
        "Use: kubectl apply -n NAMESPACE -f THIS FILE. Kubernetes' own NetworkPolicy cannot name hosts, so this is Cilium's. Entries are hosts: a packet",
        "filter sees no path. Callers are known by a label of their pods (--caller-label). Traffic inside the cluster, and DNS, are allowed.",
    ],
    refuse,
    write,
    recognises: |text| text.contains("kind: CiliumNetworkPolicy"),
    read,
};

fn refuse(entry: &Entry, _: &Identity) -> Option<Reason> {
    match &entry.caller {
        Caller::Named(name) if address(name).is_some() || !is_label(name) => Some(Reason::FormatCaller),
        _ => None,
    }
}

/// Whether a name can be the value of a label.
fn is_label(name: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= MAX_LABEL
        && is_end(name.chars().next())
        && is_end(name.chars().last())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A name that another proposal gives the same caller too.
fn resource_name(caller: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let readable: String = caller.chars().take(MAX_NAME).map(plain).collect();
    format!("egress-{}-{:08x}", readable.trim_matches('-'), Name::id_of(caller) as u32)
}

fn write(entries: &[Entry], identity: &Identity) -> String {
    let entries = by_host(entries);
    let by_caller = by_caller(&entries);
    let label = quoted(identity.label());
    let mut out = String::new();
    for (caller, entries) in &by_caller {
        let (name, selector) = match caller {
            Caller::Named(name) => (resource_name(name), format!("matchLabels: {{ {label}: {} }}", quoted(name))),
            Caller::Newcomers => {
                let named = by_caller.keys().filter_map(|caller| match caller {
                    Caller::Named(name) => Some(quoted(name)),
                    Caller::Newcomers => None,
                });
                let others = named.collect::<Vec<_>>().join(", ");
                let known = format!("{{ key: {label}, operator: NotIn, values: [{others}] }}");
                let selector = format!("matchExpressions: [{{ key: {label}, operator: Exists }}, {known}]");
                ("egress-newcomers".to_owned(), selector)
            }
        };
        // Writing to a text cannot fail.
        let _ = write!(
            out,
            "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: {name}\nspec:\n  endpointSelector:\n    {selector}\n  \
             egress:\n    - toEntities: [cluster]\n    - toEndpoints:\n        - matchLabels: {{ \"k8s:io.kubernetes.pod.namespace\": kube-system, \
             \"k8s:k8s-app\": kube-dns }}\n      toPorts: [{{ ports: [{{ port: \"53\", protocol: ANY }}], rules: {{ dns: [{{ matchPattern: \"*\" \
             }}] }} }}]\n"
        );
        for entry in entries {
            let to = match (entry.host.parse::<IpAddr>(), domain_of(&entry.host)) {
                (Ok(address), _) => {
                    let bits = if address.is_ipv4() { 32 } else { 128 };
                    format!("toCIDR: [{}]", quoted(&format!("{address}/{bits}")))
                }
                (_, Some(domain)) => format!("toFQDNs: [{{ matchPattern: {} }}]", quoted(&format!("*.{domain}"))),
                _ => format!("toFQDNs: [{{ matchName: {} }}]", quoted(&entry.host)),
            };
            let ports = [(entry.schemes.tls, "443"), (entry.schemes.plain, "80")];
            let ports = ports.iter().filter(|(is_used, _)| *is_used);
            let ports: Vec<_> = ports.map(|(_, port)| format!("{{ port: \"{port}\", protocol: TCP }}")).collect();
            let (fact, ports) = (entry.fact.words(), ports.join(", "));
            let _ = write!(out, "    # {fact}\n    - {to}\n      toPorts: [{{ ports: [{ports}] }}]\n");
        }
    }
    out
}

fn read(text: &str) -> Result<Content, Fault> {
    let mut content = Content::default();
    each_document(text, |document| {
        let spec = at(document, &["spec"])?;
        only(spec, &["endpointSelector", "egress"])?;
        let selector = at(spec, &["endpointSelector"])?;
        only(selector, &["matchLabels", "matchExpressions"])?;
        let labels = selector.get("matchLabels").and_then(|(_, labels)| labels.entries());
        let caller = match labels.as_deref() {
            Some([(_, _, value)]) => Caller::Named(self::text(*value)?),
            Some(_) => return Err(Fault::new(selector.line(), "one label that names the caller is expected")),
            None => Caller::Newcomers,
        };
        if let Caller::Named(name) = &caller {
            content.callers.push(name.clone());
        }
        for rule in items(at(spec, &["egress"])?)? {
            content.rules.extend(rules(&caller, rule)?);
        }
        Ok(())
    })?;
    Ok(content)
}

fn rules(caller: &Caller, rule: Node<'_>) -> Result<Vec<Rule>, Fault> {
    // Inside the cluster, and DNS.
    if rule
        .get("toEntities")
        .is_some_and(|(_, to)| to.one_or_many().iter().all(|to| to.text().as_deref() == Some("cluster")))
        || rule.get("toEndpoints").is_some()
    {
        return Ok(Vec::new());
    }
    only(rule, &["toFQDNs", "toCIDR", "toPorts"])?;
    let mut hosts = Vec::new();
    if let Some((_, names)) = rule.get("toFQDNs") {
        for name in items(names)? {
            only(name, &["matchName", "matchPattern"])?;
            hosts.push(match name.get("matchName") {
                Some((_, name)) => expression(name.line(), &of_host(&text(name)?))?,
                None => {
                    let pattern = at(name, &["matchPattern"])?;
                    let domain = text(pattern)?;
                    let domain = domain.strip_prefix("*.");
                    let domain = domain
                        .ok_or_else(|| Fault::new(pattern.line(), "a pattern other than *.DOMAIN cannot be judged"))?;
                    expression(pattern.line(), &of_host(&format!("*.{domain}")))?
                }
            });
        }
    }
    for network in rule.get("toCIDR").map_or(Ok(Vec::new()), |(_, networks)| items(networks))? {
        let written = text(network)?;
        let address = written.strip_suffix("/32").or_else(|| written.strip_suffix("/128"));
        let address =
            address.ok_or_else(|| Fault::new(network.line(), "a network of more than one address cannot be judged"))?;
        hosts.push(expression(network.line(), &of_host(address))?);
    }
    let mut schemes = Schemes { tls: false, plain: false };
    for ports in items(at(rule, &["toPorts"])?)? {
        for port in items(at(ports, &["ports"])?)? {
            match at(port, &["port"])?.text().as_deref() {
                Some("443") => schemes.tls = true,
                Some("80") => schemes.plain = true,
                // Logs do not tell ports: what another one is for is not known.
                _ => {}
            }
        }
    }
    let of_host = |host| Rule { caller: caller.clone(), host, schemes: Some(schemes), method: None, path: None };
    Ok(hosts.into_iter().map(of_host).collect())
}
