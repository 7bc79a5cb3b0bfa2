//! Endpoints of the catalogue: named by templates that are learned as they come, so that ids in paths do not become endpoints.
//!
//! When a position turns out to vary, the endpoints that differ there become one. What the tree of templates is in the end does not depend on
//! the order of paths, so neither do the endpoints.
//!
//! Not here: how templates are learned (`calls::template`), and what is stored of an endpoint (`writer`).

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashSet};

use super::limits::{Limit, MORE};
use crate::calls::{Name, Templates, combine};

/// Positions of paths that are remembered, of all vendors.
pub(super) const MAX_POSITIONS: usize = 1_000_000;

/// An endpoint of a vendor.
#[derive(Debug)]
struct Endpoint {
    text: String,
    /// Its row in `endpoint`, once it has one.
    id: Option<i64>,
}

/// An endpoint that has a row, and is called otherwise by now.
#[derive(Debug)]
pub(super) struct Renamed {
    pub id: i64,
    pub vendor: Name,
    pub text: String,
}

/// Endpoints, by vendor, and who calls them.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    pub templates: Templates,
    by_vendor: HashMap<u64, HashMap<u64, Endpoint>>,
    /// Endpoints that are kept, of all vendors.
    len: u32,
    /// By caller and vendor.
    called: HashMap<(u64, u64), HashSet<u64>>,
    /// Endpoints of each caller.
    counts: HashMap<u64, u32>,
    renamed: Vec<Renamed>,
    has_learned: bool,
}

impl Endpoints {
    /// None, with templates that were learned before.
    pub fn with(templates: Templates) -> Self {
        Self { templates: templates.with_room(MAX_POSITIONS), ..Self::default() }
    }

    /// Takes note of an endpoint that has a row.
    pub fn insert(&mut self, vendor: &Name, text: &str, id: i64) {
        let endpoint = Endpoint { text: text.to_owned(), id: Some(id) };
        let known = self.by_vendor.entry(vendor.id()).or_default().insert(Name::id_of(text), endpoint);
        self.len += u32::from(known.is_none() && text != MORE);
    }

    /// Takes note of who calls an endpoint.
    pub fn insert_caller(&mut self, caller: u64, vendor: u64, text: u64) {
        if self.called.entry((caller, vendor)).or_default().insert(text) {
            *self.counts.entry(caller).or_default() += 1;
        }
    }

    /// Whether an endpoint that somebody calls is kept: it is known of that caller, or there is room.
    pub fn admit(&mut self, limit: Limit, caller: u64, vendor: &Name, endpoint: &str) -> bool {
        let named = |templates: &Templates| Name::id_of(&templates.apply(vendor.as_str(), endpoint));
        let mut text = named(&self.templates);
        if self.called.get(&(caller, vendor.id())).is_some_and(|called| called.contains(&text)) {
            return true;
        }
        let is_known = self.by_vendor.get(&vendor.id()).is_some_and(|known| known.contains_key(&text));
        let count = self.counts.get(&caller).copied().unwrap_or_default();
        if count >= limit.per_caller || (!is_known && self.len >= limit.total) {
            return false;
        }
        if !is_known {
            self.has_learned = true;
            if self.templates.observe_new(vendor.as_str(), endpoint) {
                self.rename(vendor);
                text = named(&self.templates);
            }
            let known = self.by_vendor.entry(vendor.id()).or_default();
            if let Entry::Vacant(entry) = known.entry(text) {
                entry.insert(Endpoint { text: self.templates.apply(vendor.as_str(), endpoint).into_owned(), id: None });
                self.len += 1;
            }
        }
        self.insert_caller(caller, vendor.id(), text);
        true
    }

    /// Gives a vendor's endpoints the names that its templates have by now.
    fn rename(&mut self, vendor: &Name) {
        let Some(known) = self.by_vendor.get_mut(&vendor.id()) else { return };
        let mut moved: HashMap<u64, u64> = HashMap::default();
        let renamed = known
            .iter()
            .filter_map(|(&key, endpoint)| Some((key, self.templates.renamed(vendor.as_str(), &endpoint.text)?)));
        for (key, text) in renamed.collect::<Vec<_>>() {
            let Some(Endpoint { text: before, id }) = known.remove(&key) else { continue };
            self.len -= 1;
            moved.insert(key, Name::id_of(&text));
            if let Entry::Vacant(entry) = known.entry(Name::id_of(&text)) {
                entry.insert(Endpoint { text, id: None });
                self.len += 1;
            }
            self.renamed.extend(id.map(|id| Renamed { id, vendor: vendor.clone(), text: before }));
        }
        for ((caller, of_vendor), called) in &mut self.called {
            if *of_vendor == vendor.id() && called.iter().any(|text| moved.contains_key(text)) {
                let before = called.len();
                *called = called.iter().map(|text| moved.get(text).copied().unwrap_or(*text)).collect();
                if let Some(count) = self.counts.get_mut(caller) {
                    *count -= (before - called.len()) as u32;
                }
            }
        }
    }

    /// The row of an endpoint, once it has one.
    pub fn id(&self, vendor: &Name, text: &str) -> Option<i64> {
        self.by_vendor.get(&vendor.id())?.get(&Name::id_of(text))?.id
    }

    /// The endpoints that are called otherwise since this was asked last.
    pub fn take_renamed(&mut self) -> Vec<Renamed> {
        std::mem::take(&mut self.renamed)
    }

    /// Whether templates have learned since this was asked last.
    pub fn has_learned(&mut self) -> bool {
        std::mem::take(&mut self.has_learned)
    }
}

/// What a name of a caller is called in limits on pairs of names.
pub(super) fn key(parts: &[&Name]) -> u64 {
    combine(parts.iter().map(|name| name.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { per_caller: 40, total: 1_000 };

    #[test]
    fn endpoints_that_differ_in_an_id_become_one_and_leave_room_for_others() {
        let (mut endpoints, vendor) = (Endpoints::default(), Name::new("github"));
        let letters = |n: u32| char::from(b'a' + (n % 26) as u8).to_string().repeat(n as usize / 26 + 1);
        for n in 0..200 {
            assert!(endpoints.admit(LIMIT, 1, &vendor, &format!("GET /repos/{}", letters(n))), "{n}");
        }
        let known: Vec<_> = endpoints.by_vendor[&vendor.id()].values().map(|endpoint| &*endpoint.text).collect();
        assert_eq!((known, endpoints.len, endpoints.counts[&1]), (vec!["GET /repos/{id}"], 1, 1));
    }

    #[test]
    fn paths_that_are_made_up_stop_at_the_limit_of_their_caller() {
        let (mut endpoints, vendor) = (Endpoints::default(), Name::new("github"));
        let path = |n: u32| {
            let digits = (0..8).map(|at| format!("/{}", char::from(b'a' + ((n >> (at * 3)) & 7) as u8)));
            format!("GET {}", digits.collect::<String>())
        };
        let admitted = (0..5_000).filter(|&n| endpoints.admit(LIMIT, 1, &vendor, &path(n))).count();
        assert!(admitted < 200 && endpoints.counts[&1] <= LIMIT.per_caller, "{admitted}");
        assert!(endpoints.admit(LIMIT, 2, &vendor, "GET /v1/other"));
    }
}
