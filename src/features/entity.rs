//! The entity lattice: at which levels behaviour is judged.

use serde::{Deserialize, Serialize};

use crate::calls::{Name, Relation, View, combine};

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
    /// The vendor.
    pub vendor: Name,
    /// The caller, at [`Level::Pair`].
    pub caller: Name,
    /// The vendor's account of a pair, the endpoint at [`Level::VendorEndpoint`], the fingerprint at [`Level::Credential`].
    pub part: Name,
}

/// The address of an [`Entity`]: what it is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityId(pub u64);

impl EntityId {
    fn of(view: View, level: Level, [vendor, caller, part]: [u64; 3]) -> Self {
        Self(combine([view as u64 * 16 + level as u64, vendor, caller, part]))
    }

    /// That of the pair that a relation belongs to.
    pub fn pair(relation: &Relation) -> Self {
        let [vendor, caller, account] = [relation.vendor(), relation.caller(), relation.account()].map(Name::id);
        Self::of(relation.view(), Level::Pair, [vendor, caller, account])
    }

    /// That of the entity above pairs that a relation belongs to; `None` at [`Level::Pair`] and without a credential.
    pub fn group(level: Level, relation: &Relation) -> Option<Self> {
        let part = match level {
            Level::Pair => return None,
            Level::VendorEndpoint => relation.endpoint().id(),
            Level::Credential if relation.credential().is_empty() => return None,
            Level::Credential => relation.credential().id(),
            Level::Vendor => 0,
        };
        Some(Self::of(relation.view(), level, [relation.vendor().id(), 0, part]))
    }
}

impl Entity {
    /// The pair of a caller and a vendor, in no account that anybody knows.
    pub fn pair(view: View, caller: &str, vendor: &str) -> Self {
        Self::pair_in(view, caller.into(), vendor.into(), Name::default())
    }

    /// The pair of a caller and a vendor in an account.
    pub fn pair_in(view: View, caller: Name, vendor: Name, account: Name) -> Self {
        Self { view, level: Level::Pair, vendor, caller, part: account }
    }

    /// The pair that a relation belongs to.
    pub fn pair_of(relation: &Relation) -> Self {
        let [caller, vendor, account] = [relation.caller(), relation.vendor(), relation.account()].map(Name::clone);
        Self::pair_in(relation.view(), caller, vendor, account)
    }

    /// The entity that a relation belongs to at a level.
    pub fn at_level(level: Level, relation: &Relation) -> Self {
        let (view, vendor) = (relation.view(), relation.vendor().clone());
        let part = match level {
            Level::Pair => return Self::pair_of(relation),
            Level::VendorEndpoint => relation.endpoint().clone(),
            Level::Credential => relation.credential().clone(),
            Level::Vendor => Name::default(),
        };
        Self { view, level, vendor, caller: Name::default(), part }
    }

    /// A vendor as a whole.
    pub fn vendor(view: View, vendor: Name) -> Self {
        Self { view, level: Level::Vendor, vendor, caller: Name::default(), part: Name::default() }
    }

    /// Its address.
    pub fn id(&self) -> EntityId {
        EntityId::of(self.view, self.level, [self.vendor.id(), self.caller.id(), self.part.id()])
    }

    /// The vendor's account of a pair; empty elsewhere.
    pub fn account(&self) -> &str {
        if self.level == Level::Pair { self.part.as_str() } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Calls;

    #[test]
    fn an_entity_and_the_relation_that_it_is_of_have_the_same_address() {
        let calls = Calls::of_pairs([(0, ("billing", "stripe"))]);
        let relation = &calls.relations()[0];
        assert_eq!(Entity::pair_of(relation).id(), EntityId::pair(relation));
        assert_eq!(Entity::pair(View::Egress, "billing", "stripe").id(), EntityId::pair(relation));
        for level in Level::ALL {
            if let Some(id) = EntityId::group(level, relation) {
                assert_eq!(Entity::at_level(level, relation).id(), id);
            }
        }
        assert_eq!(EntityId::group(Level::Pair, relation), None);
        assert_eq!(EntityId::group(Level::Credential, relation), None, "without a credential");
    }
}
