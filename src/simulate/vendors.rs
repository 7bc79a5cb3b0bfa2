//! Vendors: endpoints with typical sizes and latencies. Known vendors are in `vendors.txt`; more are invented on demand.
//!
//! Sizes and latencies are plausible for such APIs, not measured.
//!
//! Not here: a vendor's latency and errors on a given day (`changes`).

use rand::Rng;

use super::random::{Purpose, Random, happens, pareto, pick, spread, stream};

const KNOWN: &str = include_str!("vendors.txt");
/// Items on a full page.
const PAGE: u32 = 100;
/// Share of full pages, as a client gets that pages through a long list.
const FULL_PAGES: f64 = 0.45;
/// Pareto tail of sizes: share of calls, tail index, cap (factor).
const TAIL: (f64, f64, f64) = (0.006, 1.7, 60.0);

/// A third party with an HTTP API.
pub(super) struct Vendor {
    pub(super) host: String,
    /// Prefix of its API keys.
    pub(super) key_prefix: String,
    /// Median latency of a small response, milliseconds.
    pub(super) latency_ms: f64,
    /// Whether its responses report tokens: a language model.
    pub(super) counts_tokens: bool,
    pub(super) endpoints: Vec<Endpoint>,
}

/// A method and a path template, with the sizes of request and response bodies.
pub(super) struct Endpoint {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) request: Size,
    pub(super) response: Size,
}

impl Endpoint {
    /// Whether the path names one object, which may be missing (404).
    pub(super) fn names_an_object(&self) -> bool {
        self.method == "GET" && self.path.contains('{')
    }
}

/// Distribution of a body's size, bytes.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// Always the same size.
    Fixed(f64),
    /// Log-normal with this median, and a Pareto tail.
    Body(f64),
    /// A page of 1 to 100 items of this size.
    Page(f64),
}

impl Size {
    /// Draws a size, bytes. `factor` scales it for the caller; `is_regular` turns tails and full pages off.
    pub(super) fn draw(self, random: &mut Random, factor: f64, is_regular: bool) -> u64 {
        let bytes = match self {
            Self::Fixed(bytes) => bytes,
            Self::Body(median) => {
                let tail =
                    if !is_regular && happens(random, TAIL.0) { 2.0 * pareto(random, TAIL.1, TAIL.2) } else { 1.0 };
                median * factor * tail * spread(random, 0.4)
            }
            Self::Page(item) => {
                let is_full = !is_regular && happens(random, FULL_PAGES);
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

/// All vendors in `vendors.txt`.
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
    Some(Endpoint { method, path, request: Size::parse(words.next()?)?, response: Size::parse(words.next()?)? })
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

/// An invented vendor with three to fifteen endpoints; `host` where the specification names one.
pub(super) fn invented(seed: u64, number: usize, host: Option<&str>) -> Vendor {
    let random = &mut stream(seed, Purpose::World, &[1, number]);
    let word = |random: &mut Random, from: &[&'static str]| pick(random, from).copied().unwrap_or_default();
    let (first, second) = (word(random, &FIRST), word(random, &SECOND));
    let name = format!("{first}{second}{number}");
    let host = host.map_or_else(|| format!("api.{name}.{}", word(random, &ENDING)), str::to_owned);
    let mut endpoints = Vec::new();
    let wanted = random.gen_range(3..=15);
    let offset = random.gen_range(0..RESOURCES.len());
    for index in 0..wanted {
        let resource = RESOURCES.get((offset + index / 3) % RESOURCES.len()).copied().unwrap_or_default();
        let item = 900.0 * spread(random, 0.8);
        let sent = 700.0 * spread(random, 0.7);
        let rounded = |size: f64| size.round();
        let (method, path, request, response) = match index % 3 {
            0 => ("GET", format!("/v1/{resource}"), Size::Fixed(230.0), Size::Page(rounded(item))),
            1 => ("POST", format!("/v1/{resource}"), Size::Body(rounded(sent)), Size::Body(rounded(item))),
            _ => ("GET", format!("/v1/{resource}/{{number}}"), Size::Fixed(220.0), Size::Body(rounded(2.0 * item))),
        };
        endpoints.push(Endpoint { method: method.to_owned(), path, request, response });
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
