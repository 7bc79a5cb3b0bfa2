//! Routing: which alerts a sink gets, by `when` of its section ([`Route`]).
//!
//! What no sink wants is in the alert store all the same. What a suppression holds back goes to sinks that keep records, and to those that call people
//! once it is released. An incident keeps its way: a step that no longer fits, such as its end, follows the steps
//! that did.
//!
//! Not here: delivery.

use std::sync::Arc;

use super::SinkPlan;
use crate::alerts::Route;
use crate::alerts::store::Kept;

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
    use crate::alerts::{Alert, sample};

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
            let routed = Routed { plan: Arc::clone(&plan), route: toml::from_str(when).unwrap() };
            let steps = [kept(None, false), kept(Some(1), false), kept(Some(1), true)];
            assert_eq!(steps.map(|step| routed.wants(&step)), expected, "{when}");
        }
    }
}
