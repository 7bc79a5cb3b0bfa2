//! The entity lattice: at which levels behaviour is judged.

use serde::{Deserialize, Serialize};

use crate::calls::View;

/// A level of the lattice. What is thin at one level borrows from the next one up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// One caller at one vendor.
    Pair,
    /// One endpoint of a vendor, over the callers that use it.
    VendorEndpoint,
    /// One credential, over the callers that use it.
    Credential,
    /// A vendor, over its callers.
    Vendor,
}

impl Level {
    /// All levels, finest first.
    pub const ALL: [Self; 4] = [Self::Pair, Self::VendorEndpoint, Self::Credential, Self::Vendor];

    /// The name in files and alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::VendorEndpoint => "vendor_endpoint",
            Self::Credential => "credential",
            Self::Vendor => "vendor",
        }
    }
}

/// Who is judged: what the level does not name is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// The view; two views never share a baseline.
    pub view: View,
    /// The level.
    pub level: Level,
    /// The vendor's name.
    pub vendor: String,
    /// The caller, at [`Level::Pair`].
    pub caller: String,
    /// Endpoint at [`Level::VendorEndpoint`], credential fingerprint at [`Level::Credential`].
    pub part: String,
}

impl Entity {
    /// The pair of a caller and a vendor.
    pub fn pair(view: View, caller: &str, vendor: &str) -> Self {
        Self { view, level: Level::Pair, vendor: vendor.to_owned(), caller: caller.to_owned(), part: String::new() }
    }

    /// The entity above pairs that a call at `vendor` belongs to at a level; `None` at [`Level::Pair`] and for a call
    /// without a credential.
    pub fn group(view: View, level: Level, vendor: &str, endpoint: &str, credential: &str) -> Option<Self> {
        let part = match level {
            Level::Pair => return None,
            Level::VendorEndpoint => endpoint,
            Level::Credential if credential.is_empty() => return None,
            Level::Credential => credential,
            Level::Vendor => "",
        };
        Some(Self { view, level, vendor: vendor.to_owned(), caller: String::new(), part: part.to_owned() })
    }
}
