//! Which alerts are meant: `when` of a sink's section, and what the commands on alerts filter by.
//!
//! Not here: which of them a sink gets when (`sinks::routing`), and what a suppression covers (`suppression`), which asks for everyone involved.

use glob::Pattern;
use serde::Deserialize;
use serde::de::Error;

use super::{Alert, Severity, known_detector};
use crate::calls::View;

/// Which alerts: all that is named must fit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// At least so severe: `">= medium"`, or `"medium"`.
    #[serde(deserialize_with = "severity")]
    pub severity: Option<Severity>,
    /// `egress` or `audit`.
    pub view: Option<View>,
    /// Names of detectors.
    #[serde(deserialize_with = "detectors")]
    pub detector: Option<Vec<String>>,
    /// Names of callers, with `*`.
    #[serde(deserialize_with = "patterns")]
    pub caller: Option<Vec<Pattern>>,
    /// Names of vendors, with `*`.
    #[serde(deserialize_with = "patterns")]
    pub vendor: Option<Vec<Pattern>>,
    /// Names of teams or persons who own a caller or vendor of the incident, with `*`.
    #[serde(deserialize_with = "patterns")]
    pub team: Option<Vec<Pattern>>,
    /// Whether a sink gets what a suppression holds back; else as its kind does.
    pub suppressed: Option<bool>,
}

fn severity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Severity>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let least: Result<Severity, _> = text.trim_start_matches(">=").trim().parse();
    least.map(Some).map_err(|problem| D::Error::custom(format!("{problem}, as in \">= medium\"")))
}

fn detectors<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let names = texts(deserializer)?;
    names.iter().map(|name| known_detector(name).map_err(D::Error::custom)).collect::<Result<_, _>>().map(Some)
}

/// Names, of which one at least: none would let nothing through.
fn texts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    if texts.is_empty() {
        Err(D::Error::custom("names nothing, so nothing fits: write a name, or leave it out"))
    } else {
        Ok(texts)
    }
}

fn patterns<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Pattern>>, D::Error> {
    let texts = texts(deserializer)?;
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

#[cfg(test)]
mod tests {
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
    fn a_name_that_no_alert_can_have_is_refused() {
        for wrong in ["vendor = []", "view = \"egres\"", "detector = [\"burst\", \"brust\"]"] {
            assert!(route(wrong).is_err(), "{wrong}");
        }
        assert!(route("view = \"egress\"\ndetector = [\"burst\", \"service.sink_failing\", \"digest\"]").is_ok());
    }
}
