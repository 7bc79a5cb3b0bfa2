//! Owners: who answers for what an alert is about, as the catalogue's annotations declare.
//!
//! Routes and texts for people name them. They are put on an alert once, when it is made, so that a declaration that changes later does not change
//! where an alert went.
//!
//! Not here: the declarations (`catalog::annotations`), and when they are read again (`stream`).

use serde::{Deserialize, Serialize};

use super::Alert;
use crate::catalog::annotations::Annotations;

/// A team or person who answers for a caller or a vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The team or person.
    pub team: String,
    /// The caller, if it is one that they answer for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The vendor, if it is one that they answer for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
}

impl Owner {
    /// Who answers for an alert: of its callers first, since they are asked first, then of its vendors; those of the part that it reports lead.
    pub fn all_of(alert: &Alert, declared: &Annotations) -> Vec<Self> {
        let of_caller = |name: &str| {
            let team = declared.callers.get(name)?.owner.clone();
            Some(Self { team, caller: Some(name.to_owned()), vendor: None })
        };
        let of_vendor = |name: &str| {
            let team = declared.vendors.get(name)?.owner.clone()?;
            Some(Self { team, caller: None, vendor: Some(name.to_owned()) })
        };
        let callers = alert.callers().into_iter().filter_map(of_caller);
        callers.chain(alert.vendors().into_iter().filter_map(of_vendor)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_owner_of_the_caller_comes_before_that_of_the_vendor_and_nobody_is_made_up() {
        let declared = "[vendors.dropbox]\nowner = \"storage\"\n[vendors.stripe]\nowner = \"payments\"\n\
                        [callers.payroll-svc]\nowner = \"people\"\n";
        let owners = Owner::all_of(&sample(), &toml::from_str(declared).unwrap());
        assert_eq!(owners.iter().map(|owner| owner.team.as_str()).collect::<Vec<_>>(), ["people", "storage"]);
        assert_eq!(owners[0].caller.as_deref(), Some("payroll-svc"));
        assert_eq!(Owner::all_of(&sample(), &Annotations::default()), []);
    }
}
