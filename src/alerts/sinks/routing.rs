//! Routing: which alerts a sink gets, by `when` of its section.
//!
//! What no sink wants is in the alert store all the same. What a suppression holds back goes to sinks that keep records, and to those that call people
//! once it is released. An incident keeps its way: a step that no longer fits, such as its end, follows the steps
//! that did.
//!
//! Not here: delivery.

use std::sync::Arc;

use glob::Pattern;
use serde::Deserialize;
use serde::de::Error;

use super::SinkPlan;
use crate::alerts::store::Kept;
use crate::alerts::{Alert, Severity, detector_names};
use crate::calls::View;

/// `when` of a sink: all that it names must fit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// At least so severe: `">= medium"`, or `"medium"`.
    #[serde(deserialize_with = "severity")]
    severity: Option<Severity>,
    /// `egress` or `audit`.
    view: Option<View>,
    /// Names of detectors.
    #[serde(deserialize_with = "detectors")]
    detector: Option<Vec<String>>,
    /// Names of callers, with `*`.
    #[serde(deserialize_with = "patterns")]
    caller: Option<Vec<Pattern>>,
    /// Names of vendors, with `*`.
    #[serde(deserialize_with = "patterns")]
    vendor: Option<Vec<Pattern>>,
    /// Names of teams or persons who own a caller or vendor of the incident, with `*`.
    #[serde(deserialize_with = "patterns")]
    team: Option<Vec<Pattern>>,
    /// Whether it gets what a suppression holds back; else as its kind does.
    suppressed: Option<bool>,
}

fn severity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Severity>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name = text.trim_start_matches(">=").trim();
    let known = Severity::ALL.into_iter().find(|severity| severity.as_str().eq_ignore_ascii_case(name));
    known
        .map(Some)
        .ok_or_else(|| D::Error::custom("write informational, low, medium, high or critical, as in \">= medium\""))
}

fn detectors<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let unknown = names.iter().find(|name| !detector_names().any(|known| known == *name));
    unknown.map_or(Ok(()), |name| {
        Err(D::Error::custom(format!("there is no detector `{name}`: `apiwarden detectors` lists them")))
    })?;
    Ok(Some(names))
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
            && self.view.is_none_or(|view| view == alert.view)
            && self.detector.as_ref().is_none_or(|all| all.contains(&alert.detector))
            && among(&self.caller, &alert.callers())
            && among(&self.vendor, &alert.vendors())
            && among(&self.team, &alert.teams())
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
    /// Whether the sink gets a step. One that takes what is suppressed had it before it was released.
    pub fn wants(&self, kept: &Kept) -> bool {
        let takes_suppressed = self.route.suppressed.unwrap_or_else(|| self.plan.takes_suppressed());
        let is_its_turn = if takes_suppressed { !kept.is_released } else { kept.alert.suppression.is_none() };
        is_its_turn && self.route.wants(&kept.alert)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SinkSpec, Stdout, Surroundings};
    use super::*;
    use crate::alerts::{Owner, sample};

    fn route(text: &str) -> Result<Route, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn an_alert_goes_where_all_that_is_named_fits() {
        let owner = Owner { team: "storage".to_owned(), ..Owner::default() };
        let alert = Alert { severity: Severity::Medium, owners: vec![owner], ..sample() };
        let caller = alert.callers()[0].to_owned();
        assert!(Route::default().wants(&alert));
        for (text, expected) in [
            ("severity = \">= medium\"".to_owned(), true),
            ("severity = \"high\"".to_owned(), false),
            ("view = \"audit\"".to_owned(), false),
            (format!("detector = [\"{}\"]", alert.detector), true),
            (format!("caller = [\"{}*\"]\nseverity = \"low\"", &caller[..2]), true),
            ("vendor = [\"nobody\"]".to_owned(), false),
            ("team = [\"payments\", \"stor*\"]".to_owned(), true),
            ("team = [\"payments\"]".to_owned(), false),
        ] {
            assert_eq!(route(&text).unwrap().wants(&alert), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_severity_is_refused_with_what_to_write() {
        let error = route("severity = \"urgent\"").unwrap_err().to_string();
        assert!(error.contains("write informational, low"), "{error}");
    }

    #[test]
    fn what_is_suppressed_goes_to_records_at_once_and_to_people_once_it_is_released() {
        let plan: Arc<dyn SinkPlan> = Stdout {}.check(&Surroundings::default()).unwrap().into();
        let kept = |suppression: Option<i64>, is_released: bool| {
            let held = suppression.filter(|_| !is_released);
            Kept {
                seq: 1,
                alert: Alert { suppression: held, ..sample() },
                ocsf: String::new(),
                suppression,
                is_released,
            }
        };
        for (when, expected) in [("", [true, true, false]), ("suppressed = false", [true, false, true])] {
            let routed = Routed { plan: Arc::clone(&plan), route: route(when).unwrap() };
            let steps = [kept(None, false), kept(Some(1), false), kept(Some(1), true)];
            assert_eq!(steps.map(|step| routed.wants(&step)), expected, "{when}");
        }
    }

    #[test]
    fn a_name_that_no_alert_can_have_is_refused() {
        for wrong in ["view = \"egres\"", "detector = [\"burst\", \"brust\"]"] {
            assert!(route(wrong).is_err(), "{wrong}");
        }
        assert!(route("view = \"egress\"\ndetector = [\"burst\", \"service.sink_failing\", \"digest\"]").is_ok());
    }
}
