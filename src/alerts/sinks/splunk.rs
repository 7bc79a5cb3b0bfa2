//! Splunk, by its HTTP Event Collector: each step an event, OCSF as it is, with acknowledgement where the token has it.
//!
//! Splunk has no key that would make an event that comes twice one: `event.metadata.uid` tells them apart.
//!
//! Not here: searches and notable events.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::http::{Address, Answer, Hidden, Http, Request, Secret};
use super::remote::{Memory, Remote, Step, Target, Verdict};
use super::{SinkError, SinkPlan, SinkSpec, Surroundings};

/// Events in one request: a megabyte at most, with evidence.
const AT_ONCE: usize = 20;
/// How often an acknowledgement is asked for, and the pause between.
const ASKED: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// `type = "splunk"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splunk {
    /// The collector's address, up to `/services`.
    pub url: Secret,
    /// The collector's token.
    pub token: Secret,
    /// The index; the token's own where none is named.
    #[serde(default)]
    pub index: Option<String>,
    /// Whether to wait until events are indexed: the token must have indexer acknowledgement.
    #[serde(default)]
    pub acknowledge: bool,
    /// Tells several such sinks apart.
    #[serde(default)]
    pub name: Option<String>,
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<std::path::PathBuf>,
}

impl SinkSpec for Splunk {
    const NAME: &'static str = "splunk";
    const SUMMARY: &'static str =
        "Sends each step as an OCSF event to Splunk's HTTP Event Collector, with acknowledgement if asked.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        let url = Address::of(&self.url, around)?;
        Ok(Remote::of(Open {
            name: super::named(Self::NAME, self.name.as_deref(), url.host()),
            url,
            token: self.token.reveal("token", around)?,
            index: self.index,
            channel: self.acknowledge.then(channel),
            http: Http::new(self.ca_file.as_deref(), around)?,
        }))
    }
}

/// A channel of one's own, as a GUID.
fn channel() -> String {
    use rand::Rng;
    let [a, b]: [u64; 2] = rand::thread_rng().r#gen();
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

#[derive(Debug)]
struct Open {
    name: String,
    url: Address,
    token: Hidden,
    index: Option<String>,
    channel: Option<String>,
    http: Http,
}

impl Open {
    fn signed(&self, request: Request) -> Request {
        let request = request.header("authorization", format!("Splunk {}", self.token.expose()));
        match &self.channel {
            Some(channel) => request.header("x-splunk-request-channel", channel.clone()),
            None => request,
        }
    }

    /// Whether the indexers have what was acknowledged under a number.
    fn is_indexed(&self, number: u64) -> bool {
        let ask = || self.signed(Request::json(self.url.with("/services/collector/ack"), &json!({ "acks": [number] })));
        for _ in 0..ASKED {
            let answer = self.http.send(&self.name, &ask());
            if answer.is_ok_and(|answer| answer.json()["acks"][number.to_string()] == true) {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
        false
    }
}

impl Target for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn takes_suppressed(&self) -> bool {
        true
    }

    fn request(&self, steps: &[Step<'_>], _memory: &Memory) -> Result<Request, SinkError> {
        let mut body = Vec::new();
        for step in steps {
            let mut event = json!({
                "time": step.alert.time as f64 / 1e6, "host": step.alert.caller.as_deref().unwrap_or("apiwarden"),
                "source": "apiwarden", "sourcetype": "apiwarden:ocsf", "event": step.value(),
                "fields": { "severity": step.alert.severity.as_str(), "uid": step.uid, "incident": step.alert.id },
            });
            if let Some(index) = &self.index {
                event["index"] = json!(index);
            }
            // One after another: neither an array nor commas.
            body.extend(event.to_string().into_bytes());
            body.push(b'\n');
        }
        let url = self.url.with("/services/collector/event");
        Ok(self.signed(Request { url, headers: Vec::new(), content_type: "application/json", body }))
    }

    fn judge(&self, _steps: &[Step<'_>], answer: &Answer, _memory: &mut Memory) -> Verdict {
        let answer = answer.json();
        match (answer["code"].as_i64(), &self.channel, answer["ackId"].as_u64()) {
            (Some(0), None, _) => Verdict::Landed,
            (Some(0), Some(_), Some(number)) if self.is_indexed(number) => Verdict::Landed,
            _ => Verdict::Again,
        }
    }
}
