//! The builder: calls in, enriched, rows of relations and facts out.
//!
//! Every text is enriched once and looked up ever after; what a row keeps of it is the number of its relation. Each text passes
//! through the search for secrets on its way.
//!
//! Not here: what a host, path or user agent means (one file each beside this one), and which columns there are (`schema`).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use thiserror::Error;

use super::batch::Calls;
use super::content::ContentReader;
use super::credential::FingerprintKey;
use super::data_class::DataWords;
use super::enrichment::{Enrichment, NoVendor, present, text};
use super::name::Name;
use super::network::{origin, parse_address};
use super::owner::Owners;
use super::row::{CallRow, TraceId};
use super::schema::Relation;
use super::vendor_pack::VendorPack;
use super::{Call, Outcome, endpoint};

/// Most bytes that one call may carry, 4 TiB: what a log tells beyond it is no measurement, and would overflow sums.
const MAX_BYTES: u64 = 1 << 42;
/// Most tokens that one call may carry: no model reads as many.
const MAX_TOKENS: u64 = 1 << 32;
/// How far a call may be after its arrival, microseconds: clocks of one company differ by less.
const MAX_AHEAD: i64 = 60_000_000;
/// How far a call may be ahead of the clock, microseconds: a day.
const MAX_AHEAD_OF_CLOCK: i64 = 86_400_000_000;
/// Relations that are cached.
const MAX_RELATIONS: usize = 65_536;
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
    /// The timestamp is outside 2000–2099, often a unit error.
    #[error("time: outside the years 2000 to 2099")]
    TimeOutOfRange,
    /// The timestamp lies in the future: the clock of whoever logged it runs ahead.
    #[error("time: ahead of the clock")]
    TimeAhead,
}

impl From<NoVendor> for CallProblem {
    fn from(_: NoVendor) -> Self {
        Self::NoVendor
    }
}

/// What a call has that is shown to people and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Details {
    /// The format that it was read as.
    pub format: &'static str,
    /// HTTP status.
    pub status: Option<u16>,
    /// Address that it came from.
    pub src_ip: Option<IpAddr>,
}

/// Turns decoded calls into a batch of rows, enriched and free of secrets.
pub struct CallsBuilder {
    batch: Calls,
    /// Details of the batch's calls, for who asks for them.
    details: Option<Vec<Details>>,
    /// Latest time that a call may have, microseconds since the epoch.
    latest: i64,
    /// When the record that is read arrived, microseconds since the epoch, where that is known.
    arrived: Option<i64>,
    /// Calls after their arrival, by caller.
    ahead: BTreeMap<String, u64>,
    enrichment: Enrichment,
    relations: Relations,
    content: ContentReader,
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
            batch: Calls::default(),
            details: None,
            latest: i64::MAX,
            arrived: None,
            ahead: BTreeMap::new(),
            enrichment: Enrichment::new(key, vendors),
            relations: Relations::default(),
            content: ContentReader::new(Arc::default()),
            endpoint: String::new(),
            identity: Vec::new(),
        }
    }

    /// From now on calls public networks by their owners, and believes trusted proxies.
    pub fn name_owners(&mut self, owners: Owners) {
        self.enrichment.owners = owners;
    }

    /// From now on knows classes of data by these words.
    pub fn know_data_by(&mut self, words: Arc<DataWords>) {
        self.content = ContentReader::new(words);
    }

    /// From now on refuses calls that are more than a day ahead of the clock, which shows `now`, microseconds since the epoch: no drift
    /// of a clock is as large, and one such call would close the buckets of all others before their time.
    pub fn refuse_ahead_of(&mut self, now: i64) {
        self.latest = now.saturating_add(MAX_AHEAD_OF_CLOCK);
    }

    /// The record that is read next arrived at this time, microseconds since the epoch. No call can be later than that: one that says
    /// so by more than a minute has a clock that runs ahead, and counts at its arrival.
    pub fn arrive_at(&mut self, arrived: i64) {
        self.arrived = Some(arrived);
    }

    /// How many calls so far were after their arrival, by caller.
    pub fn take_ahead(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.ahead)
    }

    /// From now on keeps the details of calls.
    pub fn keep_details(&mut self) {
        self.details = Some(Vec::new());
    }

    /// The details of the calls so far, in their order, where they are kept; to be taken before [`finish`](Self::finish).
    pub fn take_details(&mut self) -> Vec<Details> {
        self.details.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Calls that [`finish`](Self::finish) would give.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Appends one call that `format` decoded. A call that is refused leaves no trace.
    ///
    /// # Errors
    /// Where the call has no caller, neither host nor vendor, or no possible time.
    pub fn push(&mut self, call: &Call<'_>, format: &'static str) -> Result<(), CallProblem> {
        if !TIMES.contains(&call.time) {
            return Err(CallProblem::TimeOutOfRange);
        }
        if call.time > self.latest {
            return Err(CallProblem::TimeAhead);
        }
        if present(&call.caller).is_empty() {
            return Err(CallProblem::NoCaller);
        }
        let is_operation = !text(call.operation.as_ref()).is_empty();
        if !is_operation {
            endpoint::shape(call.method.as_deref(), call.path.as_deref().unwrap_or_default(), &mut self.endpoint);
            endpoint::name_operation(call.graphql.as_deref().unwrap_or_default(), &mut self.endpoint);
        }
        let shaped = (!is_operation).then_some(self.endpoint.as_str());
        let content = self.content.read(call);
        let (ids, price) = self.enrichment.resolve(call, &content, shaped, Name::id)?;
        let enrichment = &mut self.enrichment;
        let relation = self.relations.index_of(Relation::id_of(ids), &mut self.batch.relations, || {
            // Every text was resolved a moment ago: this cannot be refused.
            enrichment.resolve(call, &content, shaped, Name::clone).map(|(names, _)| names.into()).ok()
        });
        let Some(relation) = relation else { return Err(CallProblem::NoVendor) };
        let time = match self.arrived {
            Some(arrived) if call.time > arrived.saturating_add(MAX_AHEAD) => {
                let caller = self.batch.relations[relation as usize].caller();
                *self.ahead.entry(caller.to_string()).or_default() += 1;
                arrived
            }
            _ => call.time,
        };
        let outcome = call.outcome.unwrap_or_else(|| Outcome::of_status(call.status));
        let (tokens_in, tokens_out) = (call.tokens_in.and_then(tokens), call.tokens_out.and_then(tokens));
        // What failed is not paid.
        let is_paid = outcome == Outcome::Ok && !price.is_nothing();
        self.batch.rows.push(CallRow {
            time,
            relation,
            outcome,
            bytes_out: call.bytes_out.and_then(measured),
            bytes_in: call.bytes_in.and_then(measured),
            tokens_in,
            tokens_out,
            cost: is_paid.then(|| price.cost(tokens_in.unwrap_or_default(), tokens_out.unwrap_or_default())),
            latency_ms: call.latency_ms.filter(|latency| latency.is_finite() && *latency >= 0.0),
            release: self.enrichment.release(text(call.user_agent.as_ref())),
            is_resent: matches!(call.status, Some(307 | 308)) && call.method.as_deref().is_some_and(has_body),
            trace_id: call.trace_id.as_deref().and_then(TraceId::new),
            record: call.record_id.as_deref().and_then(|id| hash_record(format, id, &mut self.identity)),
        });
        if let Some(details) = &mut self.details {
            let src_ip =
                origin(text(call.src_ip.as_ref()), &self.enrichment.owners.trusted_proxies).and_then(parse_address);
            details.push(Details { format, status: call.status, src_ip });
        }
        Ok(())
    }

    /// The calls so far, in the order in which they came. The builder is empty again; what it has learned of texts stays.
    pub fn finish(&mut self) -> Calls {
        self.relations.turn();
        let rows = Vec::with_capacity(self.batch.rows.len());
        std::mem::replace(&mut self.batch, Calls { relations: Vec::new(), rows })
    }
}

/// Relations by address, each with the batch that showed it last and its index there.
#[derive(Default)]
struct Relations {
    known: HashMap<u64, KnownRelation, foldhash::fast::FixedState>,
    batch: u64,
}

struct KnownRelation {
    relation: Arc<Relation>,
    batch: u64,
    index: u32,
}

impl Relations {
    /// Index of a relation in the batch, which it joins where it is its first call there; `make` makes one that is not known.
    fn index_of(
        &mut self,
        id: u64,
        batch: &mut Vec<Arc<Relation>>,
        make: impl FnOnce() -> Option<Relation>,
    ) -> Option<u32> {
        if !self.known.contains_key(&id) {
            if self.known.len() >= MAX_RELATIONS {
                // Those of this batch are known by their index there.
                self.known.retain(|_, known| known.batch == self.batch);
            }
            let known = KnownRelation { relation: Arc::new(make()?), batch: u64::MAX, index: 0 };
            self.known.insert(id, known);
        }
        let known = self.known.get_mut(&id)?;
        if known.batch != self.batch {
            (known.batch, known.index) = (self.batch, batch.len() as u32);
            batch.push(Arc::clone(&known.relation));
        }
        Some(known.index)
    }

    /// The next batch begins.
    fn turn(&mut self) {
        self.batch += 1;
    }
}

/// Whether requests of a method have a body.
fn has_body(method: &str) -> bool {
    ["POST", "PUT", "PATCH"].iter().any(|known| known.eq_ignore_ascii_case(method.trim()))
}

fn measured(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok().filter(|_| bytes <= MAX_BYTES)
}

fn tokens(count: u64) -> Option<i64> {
    i64::try_from(count).ok().filter(|_| count <= MAX_TOKENS)
}

/// The hash that a record of a format has: the same on every machine and for every release, since repeated deliveries may come
/// after a restart.
pub fn record_hash(format: &str, record_id: &str) -> u64 {
    hash_record(format, record_id, &mut Vec::new()).map_or(0, NonZeroU64::get)
}

fn hash_record(format: &str, record_id: &str, buffer: &mut Vec<u8>) -> Option<NonZeroU64> {
    buffer.clear();
    buffer.extend_from_slice(format.as_bytes());
    buffer.push(0);
    buffer.extend_from_slice(record_id.as_bytes());
    let hash = blake3::hash(buffer);
    NonZeroU64::new(hash.as_bytes().first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use crate::calls::{Channel, CredentialKind, PrincipalKind, View};
    use proptest::prelude::*;

    use super::*;
    use crate::calls::Dimension;

    const NOON: i64 = 1_788_264_000_000_000;

    fn builder() -> CallsBuilder {
        let folder = tempfile::tempdir().unwrap();
        CallsBuilder::new(Arc::new(FingerprintKey::load_or_create(&folder.path().join("key")).unwrap()))
    }

    fn call() -> Call<'static> {
        Call { time: NOON, caller: "billing".into(), host: "api.stripe.com:443".into(), ..Call::default() }
    }

    /// The value of a dimension in the first row.
    fn cell(calls: &Calls, column: &str) -> String {
        let dimension = Dimension::ALL.iter().find(|dimension| dimension.name() == column).unwrap();
        calls.relation(&calls.rows()[0]).name(*dimension).to_string()
    }

    #[test]
    fn a_call_after_its_arrival_counts_at_its_arrival_and_its_caller_is_told() {
        let mut calls = builder();
        let arrived = 1_788_220_800_000_000;
        calls.arrive_at(arrived);
        for (caller, ahead) in [("billing", 30_000_000), ("crm", 2 * 3_600_000_000)] {
            let call =
                Call { time: arrived + ahead, caller: caller.into(), host: "api.stripe.com".into(), ..Call::default() };
            calls.push(&call, "ecs").unwrap();
        }
        assert_eq!(calls.take_ahead(), [("crm".to_owned(), 1)].into());
        assert!(calls.take_ahead().is_empty());
        assert_eq!(calls.finish().rows().iter().map(|row| row.time - arrived).collect::<Vec<_>>(), [30_000_000, 0]);
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
            content_type: Some("Application/JSON; charset=utf-8".into()),
            ..call()
        };
        calls.push(&call, "ecs").unwrap();
        let frame = calls.finish();
        assert!(calls.is_empty() && frame.len() == 1);
        for (column, expected) in [
            ("vendor", "stripe"),
            ("host", "api.stripe.com"),
            ("endpoint", "POST /v1/charges/{id}"),
            ("network", "10.20.3.0/24"),
            ("client", "node-fetch"),
            ("tls_version", "1.3"),
            ("scheme", "https"),
            ("region", ""),
            ("content_type", "application/json"),
            ("view", "egress"),
            ("step", ""),
        ] {
            assert_eq!(cell(&frame, column), expected, "{column}");
        }
        let row = frame.rows()[0];
        assert_eq!((row.outcome, row.bytes_out, row.bytes_in), (Outcome::Throttled, None, Some(7)));
        assert!(row.latency_ms.is_none() && row.trace_id.is_none() && row.record.is_some());
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
        let rows = frame.rows();
        assert_eq!(rows.iter().map(|row| row.cost).collect::<Vec<_>>(), [Some(7_500), None, None]);
        assert_eq!(rows.iter().map(|row| row.tokens_in).collect::<Vec<_>>(), [Some(2_000), None, None]);
        assert_eq!(frame.relation(&rows[1]).endpoint().as_str(), "GET /repos/{id}/{id}/zipball/{rest}");
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
        calls.refuse_ahead_of(NOON - MAX_AHEAD_OF_CLOCK);
        assert_eq!(refused(Call { time: NOON + 1, ..call() }, &mut calls), CallProblem::TimeAhead);
        assert_eq!(calls.finish().len(), 1);
    }

    #[test]
    fn the_same_record_has_the_same_hash_in_every_process() {
        let hash = hash_record("ecs", "r-1", &mut b"left over".to_vec());
        assert_eq!(Some(record_hash("ecs", "r-1")), hash.map(NonZeroU64::get));
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
                account: Some(field()), content_type: Some(field()), query: Some(format!("token={logged}").into()),
                api_version: Some(field()), request_type: Some(field()), request_body: Some(field()), response_body: Some(field()),
                location: Some(format!("https://{key}.example.net/{key}").into()),
                ..Call::default()
            };
            let mut calls = builder();
            calls.push(&call, "ecs").unwrap();
            let frame = calls.finish();
            let (key, tail) = (key.to_lowercase(), key[key.len() - 12..].to_lowercase());
            for dimension in Dimension::ALL {
                let text = frame.relation(&frame.rows()[0]).name(*dimension).as_str().to_lowercase();
                prop_assert!(!text.contains(&key) && !text.contains(&tail), "{} holds the key", dimension.name());
            }
            let text = format!("{:?}", frame.rows()[0]).to_lowercase();
            prop_assert!(!text.contains(&key) && !text.contains(&tail), "the row holds the key");
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
            prop_assert_eq!(calls.finish().len(), usize::from(pushed));
        }
    }

    #[test]
    fn a_call_shows_its_classes_of_data_its_key_its_version_and_where_it_was_led() {
        let mut calls = builder();
        let call = Call {
            method: Some("POST".into()),
            path: Some("/v1/customers?email=x&api_key=hunter2hunter2".into()),
            request_body: Some(r#"{"card":{"number":1}}"#.into()),
            response_body: Some(r#"{"patient":1}"#.into()),
            location: Some("https://Evil.example:8443/x?y=z".into()),
            status: Some(307),
            ..call()
        };
        calls.push(&call, "har").unwrap();
        let frame = calls.finish();
        for (column, expected) in [
            ("sent", "personal card secrets"),
            ("received", "health"),
            ("credential_kind", "query_key"),
            ("api_version", "v1"),
            ("redirect", "evil.example"),
        ] {
            assert_eq!(cell(&frame, column), expected, "{column}");
        }
        assert!(frame.rows()[0].is_resent && cell(&frame, "credential").starts_with("fp_"));
        let header = Call { credential: Some("hunter2hunter2".into()), path: None, location: None, ..call };
        calls.push(&Call { credential_kind: CredentialKind::Bearer, ..header }, "har").unwrap();
        let bearer = calls.finish();
        assert_eq!(cell(&bearer, "credential"), cell(&frame, "credential"), "the same key, wherever it stood");
        assert_eq!((cell(&bearer, "credential_kind"), cell(&bearer, "redirect")), ("bearer".into(), String::new()));
    }

    #[test]
    fn writing_calls_to_models_are_prompts_and_a_redirect_to_the_same_host_is_none() {
        let mut calls = builder();
        let model = Call { host: "api.openai.com".into(), method: Some("POST".into()), ..call() };
        let model =
            Call { path: Some("/v1/responses".into()), location: Some("https://api.openai.com/v2".into()), ..model };
        calls.push(&Call { status: Some(302), ..model }, "ecs").unwrap();
        let frame = calls.finish();
        assert_eq!((cell(&frame, "sent"), cell(&frame, "redirect")), ("prompts".into(), String::new()));
        calls.push(&Call { tokens_in: Some(1), ..call() }, "otel").unwrap();
        assert_eq!(cell(&calls.finish(), "sent"), "prompts");
    }

    #[test]
    fn each_value_stands_at_its_dimension() {
        let mut calls = builder();
        let call = Call {
            view: View::Audit,
            operation: Some("iam:CreateUser".into()),
            vendor: Some("aws"),
            account: Some("123837392027".into()),
            principal: PrincipalKind::Root,
            channel: Channel::Console,
            region: Some("eu-central-1".into()),
            ..call()
        };
        calls.push(&call, "cloudtrail").unwrap();
        calls.push(&call, "cloudtrail").unwrap();
        let frame = calls.finish();
        for (column, expected) in [
            ("view", "audit"),
            ("caller", "billing"),
            ("vendor", "aws"),
            ("endpoint", "iam:CreateUser"),
            ("region", "eu-central-1"),
            ("account", "123837392027"),
            ("principal", "root"),
            ("channel", "console"),
            ("step", "grant"),
        ] {
            assert_eq!(cell(&frame, column), expected, "{column}");
        }
        assert_eq!(frame.relations().len(), 1, "equal calls share a relation");
    }
}
