//! Routing: which alerts a sink gets, by `when` of its section.
//!
//! What no sink wants is in the alert store all the same. An incident keeps its way: a step that no longer fits, such as its end, follows the steps
//! that did.
//!
//! Not here: delivery.

use std::sync::Arc;

use glob::Pattern;
use serde::Deserialize;
use serde::de::Error;

use super::SinkPlan;
use crate::alerts::{Alert, Severity};

/// `when` of a sink: all that it names must fit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// At least so severe: `">= medium"`, or `"medium"`.
    #[serde(deserialize_with = "severity")]
    severity: Option<Severity>,
    /// `egress` or `audit`.
    view: Option<String>,
    /// Names of detectors.
    detector: Option<Vec<String>>,
    /// Names of callers, with `*`.
    #[serde(deserialize_with = "patterns")]
    caller: Option<Vec<Pattern>>,
    /// Names of vendors, with `*`.
    #[serde(deserialize_with = "patterns")]
    vendor: Option<Vec<Pattern>>,
}

fn severity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Severity>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name = text.trim_start_matches(">=").trim();
    let known = Severity::ALL.into_iter().find(|severity| severity.as_str().eq_ignore_ascii_case(name));
    known
        .map(Some)
        .ok_or_else(|| D::Error::custom("write informational, low, medium, high or critical, as in \">= medium\""))
}

fn patterns<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Pattern>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let pattern = |text: &String| Pattern::new(text).map_err(|_| D::Error::custom("write names, with * for any text"));
    texts.iter().map(pattern).collect::<Result<_, _>>().map(Some)
}

impl Route {
    /// Only what pages.
    pub fn of_pages() -> Self {
        Self { severity: Some(Severity::Medium), ..Self::default() }
    }

    /// Whether an alert goes this way.
    pub fn wants(&self, alert: &Alert) -> bool {
        let among = |patterns: &Option<Vec<Pattern>>, names: &[&str]| {
            patterns.as_ref().is_none_or(|all| all.iter().any(|one| names.iter().any(|name| one.matches(name))))
        };
        // An incident that paged before triage or its end lowered it keeps its way.
        self.severity.is_none_or(|least| alert.severity >= least)
            && self.view.as_ref().is_none_or(|view| view == alert.view.as_str())
            && self.detector.as_ref().is_none_or(|all| all.contains(&alert.detector))
            && among(&self.caller, &alert.callers())
            && among(&self.vendor, &alert.vendors())
    }
}

/// A sink, and which alerts it gets.
#[derive(Clone, Debug)]
pub struct Routed {
    /// The sink.
    pub plan: Arc<dyn SinkPlan>,
    /// Its `when`.
    pub route: Route,
}

impl Routed {
    /// Whether the sink gets an alert.
    pub fn wants(&self, alert: &Alert) -> bool {
        self.route.wants(alert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    fn route(text: &str) -> Result<Route, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn an_alert_goes_where_all_that_is_named_fits() {
        let alert = Alert { severity: Severity::Medium, ..sample() };
        let caller = alert.callers()[0].to_owned();
        assert!(Route::default().wants(&alert));
        for (text, expected) in [
            ("severity = \">= medium\"".to_owned(), true),
            ("severity = \"high\"".to_owned(), false),
            ("view = \"audit\"".to_owned(), false),
            (format!("detector = [\"{}\"]", alert.detector), true),
            (format!("caller = [\"{}*\"]\nseverity = \"low\"", &caller[..2]), true),
            ("vendor = [\"nobody\"]".to_owned(), false),
        ] {
            assert_eq!(route(&text).unwrap().wants(&alert), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_severity_is_refused_with_what_to_write() {
        let error = route("severity = \"urgent\"").unwrap_err().to_string();
        assert!(error.contains("write informational, low"), "{error}");
    }
}
