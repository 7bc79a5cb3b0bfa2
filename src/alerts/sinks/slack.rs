//! Slack: a message an incident, its updates and its end in the message's thread.
//!
//! With a bot's token a thread is answered; a webhook's address knows no threads, so each step is a message of its own. Slack has no key that would
//! make a step that comes twice one: after a crash the last one may be there twice.
//!
//! Not here: commands from Slack back to us.

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Address, Answer, Hidden, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target, Verdict};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};
use crate::alerts::brief::{Brief, Link, cut};

/// Longest text of a section.
const MAX_SECTION: usize = 2_900;

/// `type = "slack"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// A webhook's address; or, with a token, another address than `https://slack.com`.
    #[serde(default)]
    pub url: Option<Secret>,
    /// A bot's token, with the right `chat:write`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The channel, with a token.
    #[serde(default)]
    pub channel: Option<String>,
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

impl SinkSpec for Slack {
    const NAME: &'static str = "slack";
    const SUMMARY: &'static str = "Posts incidents to a Slack channel, updates in their threads (with a bot's token) or as messages (with a webhook).";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = self.url.as_ref().map(|url| Address::of(url, around)).transpose()?;
        let bot = match (&self.token, self.channel) {
            (Some(token), Some(channel)) if !channel.is_empty() => Some((token.reveal("token", around)?, channel)),
            (None, None) => None,
            _ => return Err(SinkError::Spec("fields token and channel: write both, or the webhook's url alone")),
        };
        let url = match (url, &bot) {
            (Some(url), _) => url,
            (None, Some(_)) => Address::known("https://slack.com"),
            (None, None) => {
                return Err(SinkError::Spec("field url: is missing, write a webhook's address, or token and channel"));
            }
        };
        let what = bot.as_ref().map_or_else(|| url.host().to_owned(), |(_, channel)| channel.clone());
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), &what),
            url,
            bot,
            http: Http::new(self.ca_file.as_deref(), around)?,
            link: self.link,
        }))
    }
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    /// Token and channel.
    bot: Option<(Hidden, String)>,
    http: Http,
    link: Option<Link>,
}

/// Text as Slack shows it: what would mark up or mention is escaped.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn message(brief: &Brief) -> Value {
    let mut lines = vec![plain(&brief.sentence)];
    lines.extend(brief.reasons.iter().map(|reason| format!("• {}", plain(reason))));
    lines.extend(brief.first_seen.iter().map(|fact| format!("• first seen: {}", plain(fact))));
    lines.extend(brief.likely.iter().map(|likely| format!("May be harmless: {}", plain(likely))));
    lines.extend(brief.owner.iter().map(|owner| format!("*Owner:* {}", plain(owner))));
    lines.push(format!("*First:* {}", plain(&brief.first_step)));
    lines.extend(brief.link.iter().map(|link| format!("<{}|the incident>", plain(link))));
    let section = |text: &str| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let text: String = cut_lines(&lines);
    json!({
        "text": plain(&cut(&format!("{}. {}", brief.headline, brief.sentence), 300)),
        "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": brief.headline } },
            { "type": "context", "elements": [{ "type": "plain_text", "text": format!("{} · {}", brief.subject, brief.id) }] },
            section(&text),
        ],
    })
}

/// As many whole lines as a section takes.
fn cut_lines(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines.iter().take_while(|line| line.chars().count() < MAX_SECTION) {
        if text.chars().count() + line.chars().count() + 1 > MAX_SECTION {
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

impl Target for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, steps: &[Step<'_>], memory: &Memory) -> Result<Request, SinkError> {
        let Some(Step { alert, .. }) = steps.first() else { return Ok(Request::json(self.url.with(""), &json!({}))) };
        let mut message = message(&Brief::of(alert, self.link.as_ref()));
        let Some((token, channel)) = &self.bot else { return Ok(Request::json(self.url.with(""), &message)) };
        message["channel"] = json!(channel);
        if let Some(thread) = memory.of(&alert.id) {
            message["thread_ts"] = json!(thread);
        }
        let request = Request::json(self.url.with("/api/chat.postMessage"), &message);
        Ok(request.authorization(Some(token.bearer())))
    }

    fn judge(&self, steps: &[Step<'_>], answer: &Answer, memory: &mut Memory) -> Verdict {
        if self.bot.is_none() {
            return Verdict::Landed;
        }
        let answer = answer.json();
        match (answer["ok"].as_bool(), answer["ts"].as_str(), answer["error"].as_str()) {
            (Some(true), Some(thread), _) => {
                steps.iter().for_each(|step| memory.keep(&step.alert.id, thread));
                Verdict::Landed
            }
            (_, _, Some("msg_too_long" | "invalid_blocks" | "msg_blocks_too_long" | "no_text")) => {
                Verdict::Refused(vec![0])
            }
            // A right that is missing, or a channel: somebody must mend it.
            _ => Verdict::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{Alert, sample};

    #[test]
    fn a_message_stays_within_slacks_limits_and_mentions_nobody() {
        let alert = Alert { message: "<!channel> ".repeat(2_000), ..sample() };
        let message = message(&Brief::of(&alert, Some(&Link::try_from("https://soc/{id}".to_owned()).unwrap())));
        let text = message["blocks"][2]["text"]["text"].as_str().unwrap();
        assert!(text.chars().count() <= 3_000 && !text.contains("<!channel>"), "{text}");
        assert!(message["blocks"][0]["text"]["text"].as_str().unwrap().chars().count() <= 150);
    }
}
