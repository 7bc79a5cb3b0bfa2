//! Protection: the least-privilege egress allow list that the catalogue implies, written for gateways, and held against later calls.
//!
//! Three steps. What the catalogue knows becomes entries, each with the fact behind it, and what does not belong on such a list is left out
//! with a reason (`proposal`). A format writes them in a gateway's own syntax, as far as the gateway can express them (`formats`). The same
//! format reads a written policy, perhaps edited since, into rules, and these judge the calls of later logs (`replay`): what the file says
//! counts, not what it was made from.
//!
//! Not here: enforcing anything. No call passes through this program; gateways enforce what it writes.

mod entry;
mod error;
mod format;
mod formats;
mod identity;
mod names;
mod pattern;
mod policy;
mod proposal;
mod replay;

pub use self::entry::{Caller, Entry, Fact, Schemes};
pub use self::error::ProtectError;
pub use self::format::{Format, Written};
pub use self::formats::FORMATS;
pub use self::identity::Identity;
pub use self::policy::{Policy, Why};
pub use self::proposal::{LeftOut, Newcomers, Proposal, Reason, Terms};
pub use self::replay::{Blocked, Replay};
