//! Opsgenie: an alert opens, gets a note for each update, and is closed, under one alias.
//!
//! The alias is the incident's id: an alert that comes twice is counted, not doubled. A note that comes twice after a crash is there twice.
//!
//! Not here: who is called.

use serde::Deserialize;
use serde_json::json;

use super::http::{Address, Answer, Hidden, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target, Verdict};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};
use crate::alerts::brief::{Brief, Link, cut};
use crate::alerts::{Activity, Severity};

/// `type = "opsgenie"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opsgenie {
    /// The integration's key.
    pub api_key: Secret,
    /// Another address than `https://api.opsgenie.com`, such as `https://api.eu.opsgenie.com`.
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

impl SinkSpec for Opsgenie {
    const NAME: &'static str = "opsgenie";
    const SUMMARY: &'static str =
        "Opens, notes and closes alerts at Opsgenie; only what pages, unless `when` says else.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = self.url.as_ref().map(|url| Address::of(url, around)).transpose()?;
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), ""),
            url: url.unwrap_or_else(|| Address::known("https://api.opsgenie.com")),
            api_key: self.api_key.reveal("api_key", around)?,
            http: Http::new(self.ca_file.as_deref(), around)?,
            link: self.link,
        }))
    }
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    api_key: Hidden,
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

    fn request(&self, steps: &[Step<'_>], memory: &Memory) -> Result<Request, SinkError> {
        let Some(Step { alert, .. }) = steps.first() else {
            return Ok(Request::json(self.url.with("/v2/alerts"), &json!({})));
        };
        let brief = Brief::of(alert, self.link.as_ref());
        let of_alias = |what: &str| self.url.with(&format!("/v2/alerts/{}/{what}?identifierType=alias", alert.id));
        let priority = match alert.severity {
            Severity::Critical => "P1",
            Severity::High => "P2",
            Severity::Medium => "P3",
            Severity::Low => "P4",
            Severity::Informational => "P5",
        };
        let (url, body) = match alert.activity {
            Activity::Update if memory.of(&alert.id).is_some() => {
                (of_alias("notes"), json!({ "source": "apiwarden", "note": brief.to_text() }))
            }
            // What was no page at first is opened by the step that makes it one.
            Activity::Create | Activity::Update => (
                self.url.with("/v2/alerts"),
                json!({
                    "message": cut(&brief.headline, 130),
                    "alias": alert.id,
                    "description": brief.to_text(),
                    "source": "apiwarden",
                    "entity": alert.caller.as_deref().unwrap_or(&alert.vendor),
                    "priority": priority,
                    "tags": [alert.detector, alert.category.as_str(), alert.view.as_str()],
                    "details": { "vendor": alert.vendor, "owner": brief.owner.clone().unwrap_or_default(), "first_step": brief.first_step, "link": brief.link.clone().unwrap_or_default() },
                }),
            ),
            Activity::Close => (of_alias("close"), json!({ "source": "apiwarden", "note": brief.sentence })),
        };
        Ok(Request::json(url, &body).header("authorization", format!("GenieKey {}", self.api_key.expose())))
    }

    fn judge(&self, steps: &[Step<'_>], _answer: &Answer, memory: &mut Memory) -> Verdict {
        steps.iter().for_each(|step| memory.keep(&step.alert.id, ""));
        Verdict::Landed
    }
}
