//! Vendors: their endpoints with usual sizes and latencies. The known ones stand in `vendors.txt`; beyond them they are invented.
//!
//! Sizes and latencies are plausible for such an API, and measured nowhere.

use rand::Rng;

use super::random::{Purpose, Random, happens, pareto, pick, spread, stream};

const KNOWN: &str = include_str!("vendors.txt");
/// Items that a full page holds.
const PAGE: u32 = 100;
/// Share of pages that are full: the answers of a cursor that walks a long list.
const FULL_PAGES: f64 = 0.45;
/// Share of sizes that come from the Pareto tail, its index, and how far it reaches.
const TAIL: (f64, f64, f64) = (0.006, 1.7, 60.0);

/// A third party with an HTTP API.
pub(super) struct Vendor {
    pub(super) host: String,
    /// How its keys begin.
    pub(super) key_prefix: String,
    /// Median of a small answer, milliseconds.
    pub(super) latency_ms: f64,
    /// Whether it counts tokens.
    pub(super) counts_tokens: bool,
    pub(super) endpoints: Vec<Endpoint>,
}

/// A method and a templated path, with the sizes of its bodies.
pub(super) struct Endpoint {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) request: Size,
    pub(super) answer: Size,
}

impl Endpoint {
    /// Whether a path names one object, which may be missing.
    pub(super) fn names_an_object(&self) -> bool {
        self.method == "GET" && self.path.contains('{')
    }
}

/// How many bytes a body has.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// Always so many.
    Fixed(f64),
    /// About so many: a log-normal body and a Pareto tail.
    Body(f64),
    /// Up to 100 items of so many.
    Page(f64),
}

impl Size {
    /// One size, bytes; `factor` is how much larger than usual the caller's are, `is_tidy` leaves tails and full pages out.
    pub(super) fn draw(self, random: &mut Random, factor: f64, is_tidy: bool) -> u64 {
        let bytes = match self {
            Self::Fixed(bytes) => bytes,
            Self::Body(median) => {
                let tail = if !is_tidy && happens(random, TAIL.0) { 2.0 * pareto(random, TAIL.1, TAIL.2) } else { 1.0 };
                median * factor * tail * spread(random, 0.4)
            }
            Self::Page(item) => {
                let is_full = !is_tidy && happens(random, FULL_PAGES);
                let items = if is_full { PAGE } else { random.gen_range(1..=PAGE) };
                40.0 + item * factor * f64::from(items) * spread(random, 0.06)
            }
        };
        bytes.max(0.0) as u64
    }

    pub(super) fn is_empty(self) -> bool {
        matches!(self, Self::Fixed(bytes) if bytes == 0.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, number): (fn(f64) -> Self, &str) = match text.as_bytes().first()? {
            b'=' => (Self::Fixed, text.get(1..)?),
            b'x' => (Self::Page, text.get(1..)?),
            _ => (Self::Body, text),
        };
        Some(kind(number.parse().ok()?))
    }
}

/// All vendors of the table.
pub(super) fn known() -> Vec<Vendor> {
    let mut vendors: Vec<Vendor> = Vec::new();
    for line in KNOWN.lines().filter(|line| !line.starts_with('#')) {
        if let (Some(endpoint), Some(vendor)) = (line.strip_prefix(' ').and_then(endpoint), vendors.last_mut()) {
            vendor.endpoints.push(endpoint);
        } else {
            vendors.extend(vendor(line));
        }
    }
    vendors
}

fn vendor(line: &str) -> Option<Vendor> {
    let mut words = line.split(' ');
    let (host, key_prefix, latency) = (words.next()?, words.next()?, words.next()?);
    Some(Vendor {
        host: host.to_owned(),
        key_prefix: key_prefix.to_owned(),
        latency_ms: latency.parse().ok()?,
        counts_tokens: words.next().is_some(),
        endpoints: Vec::new(),
    })
}

fn endpoint(line: &str) -> Option<Endpoint> {
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Endpoint { method, path, request: Size::parse(words.next()?)?, answer: Size::parse(words.next()?)? })
}

const FIRST: [&str; 14] = [
    "ledger", "ship", "tax", "quill", "north", "blue", "parcel", "vault", "hire", "route", "signal", "mint", "risk",
    "form",
];
const SECOND: [&str; 10] = ["grid", "wave", "stack", "path", "desk", "flow", "bridge", "loop", "works", "point"];
const ENDING: [&str; 3] = ["com", "io", "dev"];
const RESOURCES: [&str; 16] = [
    "accounts",
    "orders",
    "documents",
    "events",
    "reports",
    "users",
    "shipments",
    "quotes",
    "files",
    "profiles",
    "webhooks",
    "rates",
    "contracts",
    "checks",
    "labels",
    "messages",
];

/// A vendor that does not exist, with three to fifteen endpoints; `host` where the specification names it.
pub(super) fn invented(seed: u64, number: usize, host: Option<&str>) -> Vendor {
    let random = &mut stream(seed, Purpose::World, &[1, number]);
    let word = |random: &mut Random, from: &[&'static str]| pick(random, from).copied().unwrap_or_default();
    let (first, second) = (word(random, &FIRST), word(random, &SECOND));
    let name = format!("{first}{second}{number}");
    let host = host.map_or_else(|| format!("api.{name}.{}", word(random, &ENDING)), str::to_owned);
    let mut endpoints = Vec::new();
    let wanted = random.gen_range(3..=15);
    let offset = random.gen_range(0..RESOURCES.len());
    for place in 0..wanted {
        let resource = RESOURCES.get((offset + place / 3) % RESOURCES.len()).copied().unwrap_or_default();
        let item = 900.0 * spread(random, 0.8);
        let sent = 700.0 * spread(random, 0.7);
        let line = |size: f64| size.round();
        let (method, path, request, answer) = match place % 3 {
            0 => ("GET", format!("/v1/{resource}"), Size::Fixed(230.0), Size::Page(line(item))),
            1 => ("POST", format!("/v1/{resource}"), Size::Body(line(sent)), Size::Body(line(item))),
            _ => ("GET", format!("/v1/{resource}/{{number}}"), Size::Fixed(220.0), Size::Body(line(2.0 * item))),
        };
        endpoints.push(Endpoint { method: method.to_owned(), path, request, answer });
    }
    let latency_ms = 180.0 * spread(random, 0.6);
    let key_prefix = format!("{}_", name.get(..3).unwrap_or_default());
    Vendor { host, key_prefix, latency_ms, counts_tokens: false, endpoints }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_vendor_or_an_endpoint() {
        let vendors = known();
        let lines = KNOWN.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(vendors.len() + vendors.iter().map(|vendor| vendor.endpoints.len()).sum::<usize>(), lines);
        assert!(vendors.iter().all(|vendor| !vendor.endpoints.is_empty()));
    }
}
