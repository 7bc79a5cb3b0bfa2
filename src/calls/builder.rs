//! The column builder: calls in, enriched, a polars frame out.
//!
//! Every text is enriched once and looked up ever after, and every column is a typed buffer, so a call costs some hundred
//! nanoseconds. Each text column passes through the search for secrets on its way.
//!
//! Not here: what a host, path or user agent means (one file each beside this one).

use std::borrow::Cow;
use std::sync::Arc;

use polars::prelude::*;
use thiserror::Error;

use super::cache::Cache;
use super::credential::{self, FingerprintKey};
use super::owner::Owners;
use super::secret::looks_secret;
use super::vendor::Party;
use super::vendor_pack::{Price, VendorPack};
use super::{Call, Outcome, client, endpoint, network};

/// Most bytes that one call may carry, 4 TiB: what a log tells beyond it is no measurement, and would overflow sums.
const MAX_BYTES: u64 = 1 << 42;
/// Most tokens that one call may carry: no model reads as many.
const MAX_TOKENS: u64 = 1 << 32;
/// Most texts of a kind that are remembered.
const MAX_TEXTS: usize = 16_384;
/// Most endpoints of one vendor that are remembered.
const MAX_ENDPOINTS: usize = 2_048;
/// Most addresses that are remembered.
const MAX_ADDRESSES: usize = 65_536;
/// Longest text in a column, bytes: longer ones are cut.
const MAX_TEXT_BYTES: usize = 256;
/// Longest trace id, bytes.
const MAX_TRACE_ID: usize = 64;
/// Times that a call may have: 2000-01-01 to 2100-01-01, microseconds since the epoch.
const TIMES: std::ops::Range<i64> = 946_684_800_000_000..4_102_444_800_000_000;

/// Why a call is no call. Names the field, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallProblem {
    /// Nobody called.
    #[error("caller: empty")]
    NoCaller,
    /// Nobody was called.
    #[error("host: empty, and the format fixes no vendor")]
    NoVendor,
    /// The time is none that a log of today can have, perhaps in another unit.
    #[error("time: outside the years 2000 to 2099")]
    TimeOutOfRange,
    /// The time has not come yet: the clock of whoever logged it runs ahead.
    #[error("time: ahead of the clock")]
    TimeAhead,
}

/// Appends calls to typed columns, enriched and free of secrets.
pub struct CallsBuilder {
    columns: Columns,
    /// Latest time that a call may have, microseconds since the epoch.
    latest: i64,
    enrichment: Enrichment,
    endpoint: String,
    identity: Vec<u8>,
}

impl CallsBuilder {
    /// An empty builder that fingerprints with `key` and knows the vendors that the program brings along.
    pub fn new(key: Arc<FingerprintKey>) -> Self {
        Self::with_vendors(key, VendorPack::embedded())
    }

    /// An empty builder that fingerprints with `key` and knows these vendors.
    pub fn with_vendors(key: Arc<FingerprintKey>, vendors: Arc<VendorPack>) -> Self {
        Self {
            columns: Columns::with_capacity(0),
            latest: i64::MAX,
            enrichment: Enrichment::new(key, vendors),
            endpoint: String::new(),
            identity: Vec::new(),
        }
    }

    /// From now on calls public networks by their owners.
    pub fn name_owners(&mut self, owners: Owners) {
        self.enrichment.owners = owners;
    }

    /// From now on refuses calls after `latest`, microseconds since the epoch: one clock that runs ahead would end the
    /// buckets of all others before their time.
    pub fn refuse_after(&mut self, latest: i64) {
        self.latest = latest;
    }

    /// Calls that [`finish`](Self::finish) would give.
    pub fn len(&self) -> usize {
        self.columns.time.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends one call that `format` decoded. A call that is refused leaves no trace.
    ///
    /// # Errors
    /// Where the call has no caller, neither host nor vendor, or no possible time.
    pub fn push(&mut self, call: &Call<'_>, format: &'static str) -> Result<(), CallProblem> {
        let Self { columns: to, latest, enrichment, endpoint, identity } = self;
        if !TIMES.contains(&call.time) {
            return Err(CallProblem::TimeOutOfRange);
        }
        if call.time > *latest {
            return Err(CallProblem::TimeAhead);
        }
        let caller = present(&call.caller);
        if caller.is_empty() {
            return Err(CallProblem::NoCaller);
        }
        // The last that can be refused, so nothing is appended before it.
        let place = enrichment.party(&call.host, |party| {
            let vendor = call.vendor.unwrap_or(&party.vendor);
            if vendor.is_empty() {
                return Err(CallProblem::NoVendor);
            }
            to.vendor.append_value(vendor);
            to.host.append_value(&party.host);
            Ok(party.place)
        })?;
        to.time.push(call.time);
        to.view.append_value(call.view.as_str());
        enrichment.name(caller, |name| to.caller.append_value(name));
        let price = match text(call.operation.as_ref()) {
            "" => {
                endpoint::shape(call.method.as_deref(), call.path.as_deref().unwrap_or_default(), endpoint);
                enrichment.endpoint(place, endpoint, |name| to.endpoint.append_value(clip(name)))
            }
            operation => {
                enrichment.name(operation, |name| to.endpoint.append_value(name));
                Price::default()
            }
        };
        enrichment.fingerprint(text(call.credential.as_ref()), |mark| to.credential.append_value(mark));
        enrichment.network(text(call.src_ip.as_ref()), |network| to.network.append_value(network));
        enrichment.client(text(call.user_agent.as_ref()), |family| to.client.append_value(family));
        enrichment.name(text(call.region.as_ref()), |name| to.region.append_value(name));
        to.scheme.append_value(scheme(text(call.scheme.as_ref())));
        to.tls_version.append_value(tls_version(text(call.tls_version.as_ref())));
        let outcome = call.outcome.unwrap_or_else(|| Outcome::of_status(call.status));
        to.outcome.append_value(outcome.as_str());
        to.bytes_out.push(call.bytes_out.and_then(measured));
        to.bytes_in.push(call.bytes_in.and_then(measured));
        let (tokens_in, tokens_out) = (call.tokens_in.and_then(tokens), call.tokens_out.and_then(tokens));
        to.tokens_in.push(tokens_in);
        to.tokens_out.push(tokens_out);
        // What failed is not paid.
        let is_paid = outcome == Outcome::Ok && !price.is_nothing();
        to.cost.push(is_paid.then(|| price.cost(tokens_in.unwrap_or_default(), tokens_out.unwrap_or_default())));
        to.latency_ms.push(call.latency_ms.filter(|latency| latency.is_finite() && *latency >= 0.0));
        to.trace_id.append_option(call.trace_id.as_deref().filter(|id| is_trace_id(id)));
        to.record_hash.push(call.record_id.as_deref().map(|id| hash_record(format, id, identity)));
        Ok(())
    }

    /// The calls so far, in the order in which they came. The builder is empty again; what it has learned of texts stays.
    pub fn finish(&mut self) -> DataFrame {
        let next = Columns::with_capacity(self.len());
        std::mem::replace(&mut self.columns, next).into_frame()
    }
}

/// What texts mean, each worked out once.
struct Enrichment {
    key: Arc<FingerprintKey>,
    vendors: Arc<VendorPack>,
    /// By the place of their vendor.
    endpoints: Vec<Cache<KnownEndpoint>>,
    owners: Owners,
    names: Cache<String>,
    parties: Cache<Party>,
    fingerprints: Cache<String>,
    networks: Cache<String>,
    clients: Cache<String>,
}

/// What the pack knows of an endpoint.
struct KnownEndpoint {
    /// Its name by the pack, where it is another.
    name: Option<String>,
    price: Price,
}

impl Enrichment {
    fn new(key: Arc<FingerprintKey>, vendors: Arc<VendorPack>) -> Self {
        Self {
            key,
            endpoints: vendors.vendors().iter().map(|_| Cache::new(MAX_ENDPOINTS)).collect(),
            vendors,
            owners: Owners::default(),
            names: Cache::new(MAX_TEXTS),
            parties: Cache::new(MAX_TEXTS),
            fingerprints: Cache::new(MAX_TEXTS),
            networks: Cache::new(MAX_ADDRESSES),
            clients: Cache::new(MAX_TEXTS),
        }
    }

    /// A text that stays as it is, unless it looks like a secret.
    fn name(&mut self, text: &str, read: impl FnOnce(&str)) {
        let key = &self.key;
        self.names.with(
            text,
            |text| if looks_secret(text) { key.redact(text) } else { clip(text).to_owned() },
            |name| read(name),
        );
    }

    /// Judged as logged: a key in lower case is still the key, and no longer looks like one.
    fn party<R>(&mut self, host: &str, read: impl FnOnce(&Party) -> R) -> R {
        let (key, vendors) = (&self.key, &self.vendors);
        let party = |host: &str| {
            let party = Party::of(host, vendors);
            if looks_secret(host) && !is_address(&party) {
                let redacted = key.redact(host);
                return Party { host: redacted.clone(), vendor: redacted, place: None };
            }
            Party { host: clip(&party.host).to_owned(), vendor: clip(&party.vendor).to_owned(), ..party }
        };
        self.parties.with(host, party, read)
    }

    /// The name that the pack gives a vendor's endpoint, else its own; and what a call costs.
    fn endpoint(&mut self, vendor: Option<usize>, shaped: &str, read: impl FnOnce(&str)) -> Price {
        let known = vendor.and_then(|place| Some((self.vendors.vendors().get(place)?, self.endpoints.get_mut(place)?)));
        let Some((vendor, endpoints)) = known.filter(|(vendor, _)| vendor.has_endpoints()) else {
            read(shaped);
            return Price::default();
        };
        let look_up = |shaped: &str| match vendor.endpoint(shaped) {
            Some((endpoint, name)) => KnownEndpoint { name: (name != shaped).then_some(name), price: endpoint.price },
            None => KnownEndpoint { name: None, price: Price::default() },
        };
        endpoints.with(shaped, look_up, |known| {
            read(known.name.as_deref().unwrap_or(shaped));
            known.price
        })
    }

    fn fingerprint(&mut self, credential: &str, read: impl FnOnce(&str)) {
        let key = &self.key;
        let mark = |text: &str| if credential::is_masked(text) { String::new() } else { key.fingerprint(text) };
        self.fingerprints.with(credential, mark, |mark| read(mark));
    }

    fn network(&mut self, address: &str, read: impl FnOnce(&str)) {
        let owners = &self.owners;
        self.networks.with(address, |address| network::named_network_of(address, owners), |network| read(network));
    }

    fn client(&mut self, user_agent: &str, read: impl FnOnce(&str)) {
        let key = &self.key;
        self.clients.with(
            user_agent,
            |agent| client::family(agent).unwrap_or_else(|| key.redact(agent)),
            |family| read(family),
        );
    }
}

fn text<'a>(field: Option<&'a Cow<'a, str>>) -> &'a str {
    field.map(|text| present(text)).unwrap_or_default()
}

/// A text as logged, trimmed; empty where it is the dash that access logs write for nothing.
fn present(text: &str) -> &str {
    let text = text.trim();
    if text == "-" { "" } else { text }
}

/// An address is printed anew from its bytes, so nothing of what was logged is left in it.
fn is_address(party: &Party) -> bool {
    party.host.parse::<std::net::IpAddr>().is_ok()
}

/// The text's beginning, at most [`MAX_TEXT_BYTES`] bytes.
fn clip(text: &str) -> &str {
    if text.len() <= MAX_TEXT_BYTES {
        return text;
    }
    let end = (0..=MAX_TEXT_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    &text[..end]
}

fn scheme(logged: &str) -> &'static str {
    ["https", "http"].into_iter().find(|known| known.eq_ignore_ascii_case(logged)).unwrap_or_default()
}

/// `TLSv1.2`, `TLS 1.2`, `tls1_2` and `1.2` are `1.2`; what is no known version is empty.
fn tls_version(logged: &str) -> &'static str {
    let number = logged.trim_start_matches(|c: char| c.is_ascii_alphabetic() || " -_".contains(c));
    let is_ssl = logged.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ssl"));
    match (is_ssl, number) {
        (true, "2" | "2.0" | "20") => "ssl2",
        (true, "3" | "3.0" | "30") => "ssl3",
        (false, "1" | "1.0" | "1_0" | "10") => "1.0",
        (false, "1.1" | "1_1" | "11") => "1.1",
        (false, "1.2" | "1_2" | "12") => "1.2",
        (false, "1.3" | "1_3" | "13") => "1.3",
        _ => "",
    }
}

fn measured(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok().filter(|_| bytes <= MAX_BYTES)
}

fn tokens(count: u64) -> Option<i64> {
    i64::try_from(count).ok().filter(|_| count <= MAX_TOKENS)
}

fn is_trace_id(id: &str) -> bool {
    (1..=MAX_TRACE_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// The hash that a record of a format has in frames: the same on every machine and for every release, since repeated
/// deliveries may come after a restart.
pub fn record_hash(format: &str, record_id: &str) -> u64 {
    hash_record(format, record_id, &mut Vec::new())
}

fn hash_record(format: &str, record_id: &str, buffer: &mut Vec<u8>) -> u64 {
    buffer.clear();
    buffer.extend_from_slice(format.as_bytes());
    buffer.push(0);
    buffer.extend_from_slice(record_id.as_bytes());
    let hash = blake3::hash(buffer);
    hash.as_bytes().first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).unwrap_or_default()
}

/// The columns of the call, in the frame's order.
struct Columns {
    time: Vec<i64>,
    view: StringChunkedBuilder,
    caller: StringChunkedBuilder,
    vendor: StringChunkedBuilder,
    host: StringChunkedBuilder,
    endpoint: StringChunkedBuilder,
    credential: StringChunkedBuilder,
    network: StringChunkedBuilder,
    client: StringChunkedBuilder,
    region: StringChunkedBuilder,
    scheme: StringChunkedBuilder,
    tls_version: StringChunkedBuilder,
    outcome: StringChunkedBuilder,
    bytes_out: Vec<Option<i64>>,
    bytes_in: Vec<Option<i64>>,
    tokens_in: Vec<Option<i64>>,
    tokens_out: Vec<Option<i64>>,
    /// Micro-dollars.
    cost: Vec<Option<i64>>,
    latency_ms: Vec<Option<f64>>,
    trace_id: StringChunkedBuilder,
    record_hash: Vec<Option<u64>>,
}

impl Columns {
    fn with_capacity(rows: usize) -> Self {
        let texts = |name: &'static str| StringChunkedBuilder::new(PlSmallStr::from_static(name), rows);
        Self {
            time: Vec::with_capacity(rows),
            view: texts("view"),
            caller: texts("caller"),
            vendor: texts("vendor"),
            host: texts("host"),
            endpoint: texts("endpoint"),
            credential: texts("credential"),
            network: texts("network"),
            client: texts("client"),
            region: texts("region"),
            scheme: texts("scheme"),
            tls_version: texts("tls_version"),
            outcome: texts("outcome"),
            bytes_out: Vec::with_capacity(rows),
            bytes_in: Vec::with_capacity(rows),
            tokens_in: Vec::with_capacity(rows),
            tokens_out: Vec::with_capacity(rows),
            cost: Vec::with_capacity(rows),
            latency_ms: Vec::with_capacity(rows),
            trace_id: texts("trace_id"),
            record_hash: Vec::with_capacity(rows),
        }
    }

    fn into_frame(self) -> DataFrame {
        let rows = self.time.len();
        let texts = |builder: StringChunkedBuilder| builder.finish().into_column();
        let columns = vec![
            Column::new("time".into(), self.time),
            texts(self.view),
            texts(self.caller),
            texts(self.vendor),
            texts(self.host),
            texts(self.endpoint),
            texts(self.credential),
            texts(self.network),
            texts(self.client),
            texts(self.region),
            texts(self.scheme),
            texts(self.tls_version),
            texts(self.outcome),
            Column::new("bytes_out".into(), self.bytes_out),
            Column::new("bytes_in".into(), self.bytes_in),
            Column::new("tokens_in".into(), self.tokens_in),
            Column::new("tokens_out".into(), self.tokens_out),
            Column::new("cost".into(), self.cost),
            Column::new("latency_ms".into(), self.latency_ms),
            texts(self.trace_id),
            Column::new("record_hash".into(), self.record_hash),
        ];
        // `push` appends to every column or to none, so the frame cannot be refused.
        DataFrame::new(rows, columns).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_788_264_000_000_000;

    fn builder() -> CallsBuilder {
        let folder = tempfile::tempdir().unwrap();
        CallsBuilder::new(Arc::new(FingerprintKey::load_or_create(&folder.path().join("key")).unwrap()))
    }

    fn call() -> Call<'static> {
        Call { time: NOON, caller: "billing".into(), host: "api.stripe.com:443".into(), ..Call::default() }
    }

    fn cell(frame: &DataFrame, column: &str) -> String {
        frame.column(column).unwrap().get(0).unwrap().str_value().into_owned()
    }

    #[test]
    fn a_call_becomes_one_row_of_typed_columns() {
        let mut calls = builder();
        let call = Call {
            credential: Some("Bearer k-1".into()),
            method: Some("post".into()),
            path: Some("/v1/charges/123?x=y".into()),
            src_ip: Some("10.20.3.180".into()),
            user_agent: Some("node-fetch/3.3.2".into()),
            tls_version: Some("TLSv1.3".into()),
            scheme: Some("HTTPS".into()),
            status: Some(429),
            bytes_out: Some(u64::MAX),
            bytes_in: Some(7),
            latency_ms: Some(f64::NAN),
            trace_id: Some("not hex".into()),
            record_id: Some("r-1".into()),
            ..call()
        };
        calls.push(&call, "ecs").unwrap();
        let frame = calls.finish();
        assert!(calls.is_empty() && frame.shape() == (1, 21));
        for (column, expected) in [
            ("vendor", "stripe"),
            ("host", "api.stripe.com"),
            ("endpoint", "POST /v1/charges/{id}"),
            ("network", "10.20.3.0/24"),
            ("client", "node-fetch"),
            ("tls_version", "1.3"),
            ("scheme", "https"),
            ("outcome", "throttled"),
            ("region", ""),
            ("bytes_out", "null"),
            ("bytes_in", "7"),
            ("latency_ms", "null"),
            ("trace_id", "null"),
        ] {
            assert_eq!(cell(&frame, column), expected, "{column}");
        }
        assert!(cell(&frame, "credential").starts_with("fp_"));
    }

    #[test]
    fn the_pack_names_endpoints_and_says_what_answered_calls_cost() {
        let mut calls = builder();
        let model = Call { host: "api.anthropic.com".into(), method: Some("POST".into()), ..call() };
        let model = Call { path: Some("/v1/messages".into()), tokens_in: Some(2_000), tokens_out: Some(100), ..model };
        calls.push(&Call { status: Some(200), ..model }, "ecs").unwrap();
        let archive = Call { path: Some("/repos/acme/site/zipball/main".into()), status: Some(200), ..call() };
        let archive = Call { host: "api.github.com".into(), method: Some("GET".into()), ..archive };
        calls.push(&archive, "ecs").unwrap();
        let failed = Call { host: "api.openai.com".into(), method: Some("POST".into()), status: Some(429), ..call() };
        calls.push(&Call { path: Some("/v1/embeddings".into()), tokens_in: Some(u64::MAX), ..failed }, "ecs").unwrap();
        let frame = calls.finish();
        let column = |name: &str| frame.column(name).unwrap().i64().unwrap().to_vec();
        assert_eq!(column("cost"), [Some(7_500), None, None]);
        assert_eq!(column("tokens_in"), [Some(2_000), None, None]);
        assert_eq!(
            frame.column("endpoint").unwrap().str().unwrap().get(1),
            Some("GET /repos/{id}/{id}/zipball/{rest}")
        );
    }

    #[test]
    fn a_call_without_caller_vendor_or_time_is_refused_whole() {
        let mut calls = builder();
        let refused = |call: Call<'_>, calls: &mut CallsBuilder| calls.push(&call, "ecs").unwrap_err();
        for caller in [" ", "-"] {
            assert_eq!(refused(Call { caller: caller.into(), ..call() }, &mut calls), CallProblem::NoCaller);
        }
        for host in ["", " ", ":443", "-"] {
            assert_eq!(refused(Call { host: host.into(), ..call() }, &mut calls), CallProblem::NoVendor);
        }
        assert_eq!(refused(Call { time: NOON / 1_000, ..call() }, &mut calls), CallProblem::TimeOutOfRange);
        calls.push(&Call { host: "".into(), vendor: Some("aws"), ..call() }, "ecs").unwrap();
        calls.refuse_after(NOON);
        assert_eq!(refused(Call { time: NOON + 1, ..call() }, &mut calls), CallProblem::TimeAhead);
        assert_eq!(calls.finish().height(), 1);
    }

    #[test]
    fn the_same_record_has_the_same_hash_in_every_process() {
        assert_eq!(record_hash("ecs", "r-1"), hash_record("ecs", "r-1", &mut b"left over".to_vec()));
        assert_ne!(record_hash("ecs", "r-1"), record_hash("cloudtrail", "r-1"));
    }

    /// Keys of the shapes that vendors give, and bare random tokens, wrapped as logs wrap them.
    fn keys() -> impl Strategy<Value = (String, String)> {
        let shapes = prop_oneof![
            "sk_live_[A-Za-z0-9]{24}",
            "sk-proj-[A-Za-z0-9_-]{48}",
            "(AKIA|ASIA)[A-Z2-7]{16}",
            "gh[pous]_[A-Za-z0-9]{36}",
            "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
            "xox[bpars]-[0-9]{10}-[0-9]{10}-[A-Za-z0-9]{24}",
            "AIza[A-Za-z0-9_-]{35}",
            "SG\\.[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}",
            "eyJ[A-Za-z0-9]{20}\\.eyJ[A-Za-z0-9]{30}\\.[A-Za-z0-9_-]{43}",
            "glpat-[A-Za-z0-9]{20}",
            "dop_v1_[a-f0-9]{64}",
            "shpat_[a-f0-9]{32}",
            "npm_[A-Za-z0-9]{36}",
            "hf_[A-Za-z]{34}",
            "([a-z][A-Z][0-9]){14}",
        ];
        (shapes, "(|Bearer |key=|tenant:)").prop_map(|(key, before)| (format!("{before}{key}"), key))
    }

    proptest! {
        #[test]
        fn no_key_in_any_field_of_a_call_reaches_a_cell((logged, key) in keys(), wrap in 0..3) {
            let field = || -> Cow<'_, str> { Cow::from(logged.as_str()) };
            let host = match wrap { 0 => logged.clone(), 1 => format!("https://{key}:x@api.stripe.com/"), _ => format!("{key}.example.com") };
            let path = match wrap { 0 => format!("/v1/{key}/x"), 1 => format!("/v1/x?k={key}"), _ => format!("/bot{key}/send") };
            let operation = (wrap == 2).then(field);
            let call = Call {
                time: NOON, caller: field(), credential: Some(field()), host: host.into(), scheme: Some(field()),
                method: Some(field()), path: Some(path.into()), operation, tls_version: Some(field()), src_ip: Some(field()),
                user_agent: Some(field()), region: Some(field()), trace_id: Some(field()), record_id: Some(field()),
                ..Call::default()
            };
            let mut calls = builder();
            calls.push(&call, "ecs").unwrap();
            let frame = calls.finish();
            let (key, tail) = (key.to_lowercase(), key[key.len() - 12..].to_lowercase());
            for column in frame.columns() {
                let text = column.get(0).unwrap().str_value().to_lowercase();
                prop_assert!(!text.contains(&key) && !text.contains(&tail), "{} holds the key", column.name());
            }
        }

        #[test]
        fn no_text_makes_the_builder_panic(texts in proptest::array::uniform12(".{0,60}"), number in any::<f64>(), bytes in any::<u64>()) {
            let [a, b, c, d, e, f, g, h, i, j, k, l] = texts.each_ref().map(|text| Cow::from(text.as_str()));
            let call = Call {
                time: NOON, caller: a, credential: Some(b), host: c, scheme: Some(d), method: Some(e), path: Some(f),
                tls_version: Some(g), src_ip: Some(h), user_agent: Some(i), region: Some(j), trace_id: Some(k),
                record_id: Some(l), latency_ms: Some(number), bytes_out: Some(bytes), ..Call::default()
            };
            let mut calls = builder();
            let pushed = calls.push(&call, "ecs").is_ok();
            prop_assert_eq!(calls.finish().height(), usize::from(pushed));
        }
    }
}
