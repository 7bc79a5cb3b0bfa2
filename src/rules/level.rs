//! How grave the violation of a rule is, in Sigma's words.
//!
//! Not here: severities of alerts (`alerts`).

use serde::Deserialize;

/// How grave a violation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// To be known.
    Informational,
    /// To be looked at some day.
    Low,
    /// To be looked at.
    #[default]
    Medium,
    /// Pages.
    High,
    /// Pages, with the highest severity.
    Critical,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    /// Whether a violation pages.
    pub fn pages(self) -> bool {
        self >= Self::High
    }
}
