//! Alerts of the period: by vendor, by day, and one by one.
//!
//! Not here: violations of rules one by one (`governance`); they are counted here too.

use std::collections::BTreeMap;

use serde::Serialize;

use super::incident::Incident;
use super::time::{day, moment};
use crate::catalog::{Facts, Period};
use crate::detect::Category;

/// Incidents of the period.
#[derive(Debug, Serialize)]
pub(super) struct Alerts {
    /// Whether files of alerts were given: without them nothing is known of incidents.
    pub given: bool,
    pub incidents: usize,
    /// Those that page.
    pub pages: usize,
    /// Those that page and have not gone quiet.
    pub open_pages: usize,
    pub by_vendor: Vec<OfVendor>,
    pub by_day: Vec<OfDay>,
    /// Without violations of rules: the most severe first, then the newest.
    pub list: Vec<Listed>,
}

/// Incidents at a vendor.
#[derive(Debug, Default, Serialize)]
pub(super) struct OfVendor {
    pub vendor: String,
    pub pages: usize,
    pub notices: usize,
    pub drift: usize,
    pub abuse: usize,
    pub exfiltration: usize,
    pub governance: usize,
}

/// Incidents that were opened on a day.
#[derive(Debug, Serialize)]
pub(super) struct OfDay {
    pub day: String,
    pub pages: usize,
    pub notices: usize,
}

/// An incident.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    pub id: String,
    pub opened: String,
    pub severity: &'static str,
    pub pages: bool,
    pub category: &'static str,
    pub detector: String,
    pub title: String,
    pub message: String,
    pub callers: Vec<String>,
    pub vendors: Vec<String>,
    pub is_closed: bool,
}

impl Alerts {
    pub fn of(facts: &Facts, given: bool, incidents: &[Incident]) -> Self {
        let mut by_vendor: BTreeMap<&str, OfVendor> = BTreeMap::new();
        let mut by_day: BTreeMap<i64, (usize, usize)> = facts.days_known().map(|day| (day, (0, 0))).collect();
        for incident in incidents {
            for vendor in &incident.vendors {
                by_vendor.entry(vendor).or_default().add(incident);
            }
            // One that was opened before the period goes on in it.
            if let Some((pages, notices)) = by_day.get_mut(&Period::day_of(incident.opened)) {
                *(if incident.pages() { pages } else { notices }) += 1;
            }
        }
        let named = |(vendor, counts): (&str, OfVendor)| OfVendor { vendor: vendor.to_owned(), ..counts };
        let mut by_vendor: Vec<_> = by_vendor.into_iter().map(named).collect();
        by_vendor.sort_by(|a, b| (b.pages, b.notices, &a.vendor).cmp(&(a.pages, a.notices, &b.vendor)));
        let pages = || incidents.iter().filter(|incident| incident.pages());
        Self {
            given,
            incidents: incidents.len(),
            pages: pages().count(),
            open_pages: pages().filter(|incident| !incident.is_closed).count(),
            by_vendor,
            by_day: by_day.into_iter().map(|(at, (pages, notices))| OfDay { day: day(at), pages, notices }).collect(),
            list: list(incidents),
        }
    }
}

impl OfVendor {
    fn add(&mut self, incident: &Incident) {
        *(if incident.pages() { &mut self.pages } else { &mut self.notices }) += 1;
        match incident.category {
            Category::Drift => self.drift += 1,
            Category::Abuse => self.abuse += 1,
            Category::Exfiltration => self.exfiltration += 1,
            Category::Governance => self.governance += 1,
            Category::Operations => {}
        }
    }
}

fn list(incidents: &[Incident]) -> Vec<Listed> {
    let mut others: Vec<_> = incidents.iter().filter(|incident| incident.rule.is_none()).collect();
    others.sort_by(|a, b| (b.severity, -a.opened, &a.id).cmp(&(a.severity, -b.opened, &b.id)));
    let row = |incident: &Incident| Listed {
        id: incident.id.clone(),
        opened: moment(incident.opened),
        severity: incident.severity.as_str(),
        pages: incident.pages(),
        category: incident.category.as_str(),
        detector: incident.detector.clone(),
        title: incident.title.clone(),
        message: incident.message.clone(),
        callers: incident.callers.clone(),
        vendors: incident.vendors.clone(),
        is_closed: incident.is_closed,
    };
    others.into_iter().map(row).collect()
}
