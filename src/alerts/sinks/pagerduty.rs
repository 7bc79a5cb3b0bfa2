//! PagerDuty, by Events API v2: an incident opens, is updated and resolved under one `dedup_key`.
//!
//! A step that comes twice changes nothing: the key is the incident's id.
//!
//! Not here: who is called (PagerDuty's services and schedules).

use serde::Deserialize;
use serde_json::json;

use super::http::{Address, Hidden, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};
use crate::alerts::brief::{Brief, Link};
use crate::alerts::{Activity, Severity, printable};

/// `type = "pagerduty"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDuty {
    /// The integration's key, 32 characters.
    pub routing_key: Secret,
    /// Another address than `https://events.pagerduty.com`, such as that of the European region.
    #[serde(default)]
    pub url: Option<Secret>,
    /// Tells several such sinks apart.
    #[serde(default)]
    pub name: Option<String>,
    /// The address of an incident, with `{id}`.
    #[serde(default)]
    pub link: Option<Link>,
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<std::path::PathBuf>,
}

impl SinkSpec for PagerDuty {
    const NAME: &'static str = "pagerduty";
    const SUMMARY: &'static str =
        "Opens, updates and resolves incidents at PagerDuty (Events API v2); only what pages, unless `when` says else.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = self.url.as_ref().map(|url| Address::of(url, around)).transpose()?;
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), ""),
            url: url.unwrap_or_else(|| Address::known("https://events.pagerduty.com")),
            routing_key: self.routing_key.reveal("routing_key", around)?,
            http: Http::new(self.ca_file.as_deref(), around)?,
            link: self.link,
        }))
    }
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    routing_key: Hidden,
    http: Http,
    link: Option<Link>,
}

impl Target for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn is_for_pages(&self) -> bool {
        true
    }

    fn request(&self, steps: &[Step<'_>], _memory: &Memory) -> Result<Request, SinkError> {
        let url = self.url.with("/v2/enqueue");
        let Some(Step { alert, .. }) = steps.first() else { return Ok(Request::json(url, &json!({}))) };
        let brief = Brief::of(alert, self.link.as_ref());
        let action = if alert.activity == Activity::Close { "resolve" } else { "trigger" };
        let severity = match alert.severity {
            Severity::Informational | Severity::Low => "info",
            Severity::Medium => "warning",
            Severity::High => "error",
            Severity::Critical => "critical",
        };
        let links: Vec<_> = brief.link.iter().map(|link| json!({ "href": link, "text": "the incident" })).collect();
        let event = json!({
            "routing_key": self.routing_key.expose(),
            "event_action": action,
            "dedup_key": alert.id,
            "client": "apiwarden",
            "payload": {
                "summary": brief.sentence,
                "source": printable(alert.caller.as_deref().unwrap_or(&alert.vendor)),
                "severity": severity,
                "timestamp": super::rfc3339(alert.time),
                "component": printable(&alert.vendor),
                "class": alert.detector,
                "group": alert.category.as_str(),
                "custom_details": {
                    "reasons": brief.reasons, "first_seen": brief.first_seen, "may_be": brief.likely,
                    "owner": brief.owner, "first_step": brief.first_step, "revision": alert.revision,
                },
            },
            "links": links,
        });
        Ok(Request::json(url, &event))
    }
}
