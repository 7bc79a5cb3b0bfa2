//! Something is opened to another account: shared, replicated, made public.
//!
//! # Finds
//! A first sharing by a principal that never shared, or more of it than usual: a snapshot or image shared, a bucket's policy
//! changed, replication to elsewhere, mail forwarded.
//!
//! # Why it matters
//! The data leave by the vendor's own wires: no byte of it passes ours.
//!
//! # Misses
//! A sharing by one who shares by trade. To whom it went is not decoded.
//!
//! # Tuning
//! `alerts_per_day`: a tenth of it is the most that an audit alarm may cost; what pages is set by a replay of the history.
//!
//! # Example alert
//! `backup at aws: a first sharing with others: ec2:ModifySnapshotAttribute (a day in 12673)`
//!
//! # What to do first
//! 1. Ask the principal's owner to whom it was opened and why; if nobody knows, undo the sharing and revoke the
//!    principal's sessions.
//! 2. Read in the vendor's own log what was shared, with which account, and what that account has read since.
//! 3. Look for what the principal did in the hour before: a first use from elsewhere makes it a theft.
//!
//! # When it is wrong
//! The first sharing by somebody who may. The state that it went to is not decoded: a known partner looks like a stranger.
//!
//! # Source
//! First-seen events as rates, by class of step (see `models::audit`).

use super::sentence::{counted, new_at};
use super::{Analytic, Category, CauseClass, Class, Detector, Impact, Meta};

static META: Meta = Meta {
    name: "account_transfer",
    title: "Data opened to another account",
    category: Category::Exfiltration,
    impact: Impact::High,
    analytic: Analytic::Behavioural,
    correlates: &[],
    page: include_str!("account_transfer.rs"),
};

static OPERATION_SHARE: Class =
    Class::new("operation_share", &META, CauseClass::DataLeft, new_at).technique("T1537").in_audit();
static SHARE_OPERATIONS: Class =
    Class::new("share_operations", &META, CauseClass::DataLeft, counted).technique("T1537").in_audit();

/// Data that is opened to another account.
pub(super) struct AccountTransfer;

impl Detector for AccountTransfer {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&OPERATION_SHARE, &SHARE_OPERATIONS];
    type Model = ();
    type Memory = ();
    type Part = ();
}
