//! Declared campaigns: many more calls than usual, known in advance.
//!
//! While a campaign lasts, alerts on its calls and spending have severity Informational. Nothing else is lowered: a theft during a
//! campaign moves a ratio, not the number of calls.
//!
//! Not here: which detectors a campaign lowers (`stream`).

use jiff::Timestamp;
use serde::Deserialize;

/// `[[detection.campaigns]]`: caller, vendor or both, and the time window.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Campaign {
    caller: Option<String>,
    vendor: Option<String>,
    /// Microseconds since the epoch.
    from: i64,
    to: i64,
}

/// The section as written: times are RFC 3339.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    caller: Option<String>,
    vendor: Option<String>,
    from: String,
    to: String,
}

impl TryFrom<Written> for Campaign {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let time = |name: &str, text: &str| {
            let parsed = text.parse::<Timestamp>().map(Timestamp::as_microsecond);
            parsed.map_err(|_| format!("{name}: write an RFC 3339 time, as in \"2026-11-27T00:00:00Z\""))
        };
        let (from, to) = (time("from", &written.from)?, time("to", &written.to)?);
        if from >= to {
            return Err("to: must be later than from".to_owned());
        }
        if written.caller.is_none() && written.vendor.is_none() {
            return Err("caller, vendor: name at least one of them".to_owned());
        }
        Ok(Self { caller: written.caller, vendor: written.vendor, from, to })
    }
}

impl Campaign {
    /// Whether a window of calls from `caller` to `vendor` that ends at `time` (microseconds since the epoch) belongs to the campaign.
    /// Trailing windows reach back a day, so the campaign covers a day after its end too.
    pub fn covers(&self, caller: &str, vendor: &str, time: i64) -> bool {
        const TRAILING: i64 = 86_400_000_000;
        let is = |declared: &Option<String>, own: &str| declared.as_deref().is_none_or(|declared| declared == own);
        (self.from..=self.to.saturating_add(TRAILING)).contains(&time)
            && is(&self.caller, caller)
            && is(&self.vendor, vendor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Campaign, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_campaign_covers_its_caller_and_its_days_and_nobody_else() {
        let campaign =
            read("caller = \"mailer\"\nfrom = \"2026-11-27T00:00:00Z\"\nto = \"2026-11-28T00:00:00Z\"").unwrap();
        let noon = "2026-11-27T12:00:00Z".parse::<Timestamp>().unwrap().as_microsecond();
        assert!(campaign.covers("mailer", "openai", noon) && !campaign.covers("billing", "openai", noon));
        assert!(!campaign.covers("mailer", "openai", noon - 86_400_000_000));
    }

    #[test]
    fn a_campaign_that_makes_no_sense_is_refused_with_the_reason() {
        let error = |text: &str| read(text).unwrap_err();
        assert!(
            error("caller = \"a\"\nfrom = \"noon\"\nto = \"2026-11-28T00:00:00Z\"").contains("from: write an RFC 3339")
        );
        let days = "from = \"2026-11-27T00:00:00Z\"\nto = \"2026-11-28T00:00:00Z\"";
        assert!(error(days).contains("name at least one"));
    }
}
