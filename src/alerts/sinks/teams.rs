//! Microsoft Teams: an adaptive card a step, by the webhook of a workflow.
//!
//! Such a webhook knows neither updates nor keys: each step is a card of its own, and after a crash the last one may be there twice.
//!
//! Not here: Teams' older connectors, which were retired.

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Address, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};
use crate::alerts::brief::{Brief, Link};

/// `type = "teams"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teams {
    /// The address of the workflow.
    pub url: Secret,
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

impl SinkSpec for Teams {
    const NAME: &'static str = "teams";
    const SUMMARY: &'static str = "Posts an adaptive card for each step to Microsoft Teams, by a workflow's webhook.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = Address::of(&self.url, around)?;
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), url.host()),
            url,
            http: Http::new(self.ca_file.as_deref(), around)?,
            link: self.link,
        }))
    }
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    http: Http,
    link: Option<Link>,
}

/// Text that is no link: cards read a part of Markdown, and a caller may be named `[see](https://evil.example)`.
fn plain(text: &str) -> String {
    text.replace("](", "] (")
}

fn card(brief: &Brief) -> Value {
    let line = |text: &str| json!({ "type": "TextBlock", "text": plain(text), "wrap": true });
    let fact = |title: &str, value: &str| json!({ "title": title, "value": plain(value) });
    let mut facts = vec![fact("Who", &brief.subject), fact("Incident", &brief.id), fact("First", &brief.first_step)];
    facts.extend(brief.owner.iter().map(|owner| fact("Owner", owner)));
    let mut body = vec![
        json!({ "type": "TextBlock", "text": plain(&brief.headline), "weight": "Bolder", "size": "Medium", "wrap": true }),
        line(&brief.sentence),
        json!({ "type": "FactSet", "facts": facts }),
    ];
    body.extend(brief.reasons.iter().map(|reason| line(&format!("- {reason}"))));
    body.extend(brief.first_seen.iter().map(|fact| line(&format!("- first seen: {fact}"))));
    body.extend(brief.likely.iter().map(|likely| line(&format!("May be harmless: {likely}"))));
    let actions: Vec<_> = brief
        .link
        .iter()
        .map(|link| json!({ "type": "Action.OpenUrl", "title": "The incident", "url": link }))
        .collect();
    let content = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": body, "actions": actions,
    });
    json!({ "type": "message", "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": content }] })
}

impl Target for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, steps: &[Step<'_>], _memory: &Memory) -> Result<Request, SinkError> {
        let card = steps.first().map(|step| card(&Brief::of(step.alert, self.link.as_ref())));
        Ok(Request::json(self.url.with(""), &card.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{Alert, sample};

    #[test]
    fn a_name_from_a_log_is_no_link() {
        let caller = Some("[see](https://evil.example)".to_owned());
        let message = "[see](https://evil.example) sent more than ever".to_owned();
        let card = card(&Brief::of(&Alert { caller, message, ..sample() }, None)).to_string();
        assert!(card.contains("[see] (https://evil.example)") && !card.contains("]("), "{card}");
    }
}
