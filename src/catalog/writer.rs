//! Writing: rolled-up rows → facts, within the limits.
//!
//! Rows are looked at twice. First each is admitted, in order: its names, and its endpoint, which may change what endpoints are called. Then
//! all of them are summed up under the names that hold by then, and merged into the tables. So it does not show how rows were split into
//! batches.
//!
//! Not here: transactions and the file (`mod`), the tables (`schema`).

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use rusqlite::{Connection, Result, params};
use serde::Serialize;

use super::endpoints::{Endpoints, key};
use super::limits::{Admitted, Kind, Limits, MORE, Overflow, more};
use super::schema::{DAYS, TRAITS, USAGES};
use super::sketch::Sketch;
use super::sql::{each, joined, meta, set_meta, store};
use crate::calls::{
    DataClasses, Dimension, MEASURES, Measures, Merge, Name, StepClass, Templates, VendorPack, Verb, View, combine,
    is_write, split_endpoint, version_in,
};
use crate::rollup::{Row, day_of};

/// Days that `day` covers.
pub const DAYS_KEPT: i64 = 400;
/// What a call is made from and by: rows of `trait`, and what limits the values of each.
const TRAIT_KINDS: [(Dimension, Option<Kind>); 9] = [
    (Dimension::Network, Some(Kind::Network)),
    (Dimension::Client, Some(Kind::Client)),
    (Dimension::Region, Some(Kind::Region)),
    (Dimension::Scheme, None),
    (Dimension::TlsVersion, None),
    (Dimension::ContentType, Some(Kind::ContentType)),
    (Dimension::CredentialKind, None),
    (Dimension::ApiVersion, Some(Kind::ApiVersion)),
    (Dimension::Redirect, Some(Kind::Redirect)),
];
/// Classes of data, which are traits too, several of a row.
const DATA_KINDS: [Dimension; 2] = [Dimension::Sent, Dimension::Received];
const LATEST_DAY: &str = "latest_day";
const TEMPLATES: &str = "templates";

/// What the writer knows of the file's content, so that it asks it for nothing.
pub(super) struct Writer {
    limits: Limits,
    vendors: Arc<VendorPack>,
    admitted: Admitted,
    endpoints: Endpoints,
    /// Rows of `name`, by content address.
    names: HashMap<u64, i64>,
    /// Names that have a row in `vendor`, and in `host`, as far as this writer met them.
    vendor_rows: HashSet<i64>,
    host_rows: HashSet<i64>,
    /// Vendors and versions that have a row in `version`.
    version_rows: HashSet<(i64, i64)>,
    /// The names of dimensions.
    kinds: Vec<Name>,
    overflow: HashMap<(u64, Kind), Overflow>,
    latest_day: i64,
}

/// A row with the names that it is kept under.
struct Kept {
    caller: Name,
    vendor: Name,
    host: Name,
    account: Name,
    credential: Name,
    /// Whether its endpoint is kept.
    has_endpoint: bool,
    traits: Vec<(Dimension, Name)>,
    /// Whether its traits are told apart by credential.
    has_traits: bool,
}

/// What a batch adds to each table.
#[derive(Default)]
struct Sums {
    usages: HashMap<[i64; 7], Measures>,
    traits: HashMap<[i64; 5], Measures>,
    days: HashMap<[i64; 4], Measures>,
}

/// The measures of no call.
fn neutral() -> Measures {
    Measures(MEASURES.map(|column| match column.merge {
        Merge::Sum => 0,
        Merge::Min => i64::MAX,
        Merge::Max => i64::MIN,
    }))
}

/// The name of a category or verb, as vendor files have it.
fn code(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// The registrable domain of a host, else the host itself.
fn registrable(host: &str) -> &str {
    if host.parse::<std::net::IpAddr>().is_ok() { host } else { psl::domain_str(host).unwrap_or(host) }
}

fn merge<K: std::hash::Hash + Eq>(sums: &mut HashMap<K, Measures>, key: K, measures: &Measures) {
    sums.entry(key).and_modify(|known| known.merge(measures)).or_insert(*measures);
}

impl Writer {
    /// A writer of an empty catalogue.
    pub fn new(limits: Limits, vendors: Arc<VendorPack>) -> Self {
        Self {
            limits,
            vendors,
            admitted: Admitted::default(),
            endpoints: Endpoints::with(Templates::default()),
            names: HashMap::default(),
            vendor_rows: HashSet::default(),
            host_rows: HashSet::default(),
            version_rows: HashSet::default(),
            kinds: Dimension::ALL.iter().map(|dimension| Name::new(dimension.name())).collect(),
            overflow: HashMap::default(),
            latest_day: i64::MIN,
        }
    }

    /// A writer that goes on with what is there.
    pub fn load(limits: Limits, vendors: Arc<VendorPack>, connection: &Connection) -> Result<Self> {
        let mut writer = Self::new(limits, vendors);
        if let Some(templates) = meta::<Vec<u8>>(connection, TEMPLATES)? {
            // A blob that cannot be read would only cost the merging of endpoints: it is learned again.
            writer.endpoints = Endpoints::with(postcard::from_bytes(&templates).unwrap_or_default());
        }
        writer.latest_day = meta(connection, LATEST_DAY)?.unwrap_or(i64::MIN);
        let mut texts: HashMap<i64, Name> = HashMap::default();
        each(connection, "SELECT id, text FROM name", |row| {
            let (id, name) = (row.get(0)?, Name::new(row.get_ref(1)?.as_str()?));
            writer.names.insert(name.id(), id);
            texts.insert(id, name);
            Ok(())
        })?;
        let name = |id: i64| texts.get(&id).cloned().unwrap_or_default();
        let mut endpoints: HashMap<i64, u64> = HashMap::default();
        each(connection, "SELECT id, vendor, method, template FROM endpoint", |row| {
            let text = joined(row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_str()?);
            endpoints.insert(row.get(0)?, Name::id_of(&text));
            writer.endpoints.insert(&name(row.get(1)?), &text, row.get(0)?);
            Ok(())
        })?;
        each(connection, "SELECT caller, vendor, credential, endpoint, host, account FROM usage", |row| {
            let [caller, vendor, credential] = [name(row.get(0)?), name(row.get(1)?), name(row.get(2)?)];
            let (host, account) = (name(row.get(4)?), name(row.get(5)?));
            let text = endpoints.get(&row.get(3)?).copied().unwrap_or_default();
            writer.remember(&caller, &vendor, &credential, &host, &account, text);
            Ok(())
        })?;
        each(connection, "SELECT caller, vendor, credential, kind, value FROM trait", |row| {
            let [caller, vendor, credential] = [name(row.get(0)?), name(row.get(1)?), name(row.get(2)?)];
            let (kind, value) = (name(row.get(3)?), name(row.get(4)?));
            let limited =
                TRAIT_KINDS.iter().find(|(dimension, _)| *dimension.name() == *kind).and_then(|known| known.1);
            if let Some(limited) = limited.filter(|_| *value != *MORE && !value.is_empty()) {
                writer.admitted.insert(limited, caller.id(), value.id());
            }
            writer.admitted.insert(Kind::Trait, caller.id(), key(&[&vendor, &credential, &kind, &value]));
            Ok(())
        })?;
        let overflow = "SELECT caller, kind, calls, first_seen, last_seen, sketch FROM overflow";
        each(connection, overflow, |row| {
            let kind = row.get_ref(1)?.as_str()?;
            let Some(&kind) = Kind::ALL.iter().find(|known| known.as_str() == kind) else { return Ok(()) };
            let sketch = Sketch::of_bytes(row.get_ref(5)?.as_blob()?).unwrap_or_default();
            let (calls, first_seen, last_seen) = (row.get(2)?, row.get(3)?, row.get(4)?);
            let overflow = Overflow { sketch, calls, first_seen, last_seen };
            writer.overflow.insert((name(row.get(0)?).id(), kind), overflow);
            Ok(())
        })?;
        Ok(writer)
    }

    /// Takes note of a row of `usage`.
    fn remember(&mut self, caller: &Name, vendor: &Name, credential: &Name, host: &Name, account: &Name, text: u64) {
        let named = [
            (Kind::Caller, caller),
            (Kind::Vendor, vendor),
            (Kind::Host, host),
            (Kind::Credential, credential),
            (Kind::Account, account),
        ];
        for (kind, name) in named {
            if !name.is_empty() && **name != *MORE {
                self.admitted.insert(kind, caller.id(), name.id());
            }
        }
        if **credential != *MORE {
            self.admitted.insert(Kind::Pairing, caller.id(), key(&[vendor, credential]));
        }
        if text != Name::id_of(MORE) {
            self.endpoints.insert_caller(caller.id(), vendor.id(), text);
        }
        let usage = combine([key(&[vendor, credential, host, account]), text]);
        self.admitted.insert(Kind::Usage, caller.id(), usage);
    }

    /// Adds rows.
    pub fn add(&mut self, connection: &Connection, rows: &[Row]) -> Result<()> {
        let kept: Vec<Kept> = rows.iter().map(|row| self.admit(row)).collect();
        let mut sums = Sums::default();
        self.move_renamed(connection, &mut sums)?;
        for (row, kept) in rows.iter().zip(&kept) {
            self.sum(connection, row, kept, &mut sums)?;
        }
        store(connection, &USAGES, &sums.usages)?;
        store(connection, &TRAITS, &sums.traits)?;
        let latest = rows.iter().map(|row| day_of(row.bucket)).fold(self.latest_day, i64::max);
        sums.days.retain(|[_, _, _, day], _| *day > latest - DAYS_KEPT);
        store(connection, &DAYS, &sums.days)?;
        if latest > self.latest_day {
            self.latest_day = latest;
            connection.prepare_cached("DELETE FROM day WHERE day <= ?1")?.execute([latest - DAYS_KEPT])?;
            set_meta(connection, LATEST_DAY, latest)?;
        }
        if self.endpoints.has_learned() {
            let templates = postcard::to_stdvec(&self.endpoints.templates);
            // Plain data in memory: it cannot fail, and what is lost would be learned again.
            set_meta(connection, TEMPLATES, templates.unwrap_or_default())?;
        }
        self.store_overflow(connection)
    }

    /// The names that a row is kept under.
    fn admit(&mut self, row: &Row) -> Kept {
        let relation = &*row.relation;
        let caller = self.name_or_more(Kind::Caller, row, relation.caller(), relation.caller());
        let vendor = self.name_or_more(Kind::Vendor, row, &caller, relation.vendor());
        let mut host = self.name_or_more(Kind::Host, row, &caller, relation.host());
        let mut account = self.name_or_more(Kind::Account, row, &caller, relation.account());
        let mut credential = self.name_or_more(Kind::Credential, row, &caller, relation.credential());
        let pairing = key(&[&vendor, &credential]);
        if *credential != *MORE && !self.is_admitted(Kind::Pairing, row, &caller, pairing) {
            credential = more();
        }
        let limit = self.limits.of(Kind::Endpoint);
        let mut has_endpoint =
            *vendor != *MORE && self.endpoints.admit(limit, caller.id(), &vendor, relation.endpoint().as_str());
        if *vendor != *MORE && !has_endpoint {
            self.overflow(Kind::Endpoint, row, &caller, relation.endpoint().id());
        }
        let text = if has_endpoint {
            Name::id_of(&self.endpoints.templates.apply(vendor.as_str(), relation.endpoint().as_str()))
        } else {
            Name::id_of(MORE)
        };
        let usage = combine([key(&[&vendor, &credential, &host, &account]), text]);
        if !self.is_admitted(Kind::Usage, row, &caller, usage) {
            (host, account, credential, has_endpoint) = (more(), Name::default(), more(), false);
        }
        let mut has_traits = true;
        let mut traits = Vec::with_capacity(TRAIT_KINDS.len());
        for (dimension, limited) in TRAIT_KINDS {
            let value = relation.name(dimension);
            if !value.is_empty() {
                let kept = limited.map(|kind| self.name_or_more(kind, row, &caller, value));
                traits.push((dimension, kept.unwrap_or_else(|| value.clone())));
            }
        }
        for dimension in DATA_KINDS {
            let classes = DataClasses::named(relation.name(dimension));
            traits.extend(classes.map(|class| (dimension, Name::new(class))));
        }
        for (dimension, value) in &traits {
            let key = key(&[&vendor, &credential, &self.kinds[*dimension as usize], value]);
            has_traits &= self.is_admitted(Kind::Trait, row, &caller, key);
        }
        Kept { caller, vendor, host, account, credential, has_endpoint, traits, has_traits }
    }

    fn name_or_more(&mut self, kind: Kind, row: &Row, caller: &Name, name: &Name) -> Name {
        let is_kept = name.is_empty() || self.is_admitted(kind, row, caller, name.id());
        if is_kept { name.clone() } else { more() }
    }

    fn is_admitted(&mut self, kind: Kind, row: &Row, caller: &Name, name: u64) -> bool {
        let is_admitted = self.admitted.admit(&self.limits, kind, caller.id(), name);
        if !is_admitted {
            // The callers past the limit are told of together.
            let caller = if kind == Kind::Caller { more() } else { caller.clone() };
            self.overflow(kind, row, &caller, name);
        }
        is_admitted
    }

    fn overflow(&mut self, kind: Kind, row: &Row, caller: &Name, name: u64) {
        let overflow = self.overflow.entry((caller.id(), kind)).or_default();
        overflow.sketch.insert(name);
        overflow.calls += row.calls();
        overflow.first_seen = overflow.first_seen.min(row.first_seen());
        overflow.last_seen = overflow.last_seen.max(row.last_seen());
    }

    /// Counts a row under its names.
    fn sum(&mut self, connection: &Connection, row: &Row, kept: &Kept, sums: &mut Sums) -> Result<()> {
        let caller = self.name(connection, &kept.caller)?;
        let vendor = self.vendor(connection, &kept.vendor)?;
        let host = self.host(connection, &kept.host)?;
        let account = self.name(connection, &kept.account)?;
        let credential = self.name(connection, &kept.credential)?;
        let text = if kept.has_endpoint {
            self.endpoints.templates.apply(kept.vendor.as_str(), row.relation.endpoint().as_str()).into_owned()
        } else {
            MORE.to_owned()
        };
        let endpoint = self.endpoint(connection, &kept.vendor, vendor, &text)?;
        let view = i64::from(row.relation.view() == View::Audit);
        merge(&mut sums.usages, [caller, vendor, credential, endpoint, host, account, view], &row.measures);
        merge(&mut sums.days, [vendor, caller, credential, day_of(row.bucket)], &row.measures);
        for (dimension, value) in &kept.traits {
            let kind = self.kinds[*dimension as usize].clone();
            let kind = self.name(connection, &kind)?;
            let text = value;
            let (credential, value) = match kept.has_traits {
                true => (credential, self.name(connection, value)?),
                false => (self.name(connection, &more())?, self.name(connection, &more())?),
            };
            if *dimension == Dimension::ApiVersion && kept.has_traits {
                self.version(connection, &kept.vendor, vendor, value, text)?;
            }
            merge(&mut sums.traits, [caller, vendor, credential, kind, value], &row.measures);
        }
        Ok(())
    }

    /// Moves the usages of endpoints that are called otherwise by now.
    fn move_renamed(&mut self, connection: &Connection, sums: &mut Sums) -> Result<()> {
        for renamed in self.endpoints.take_renamed() {
            let text = self.endpoints.templates.apply(renamed.vendor.as_str(), &renamed.text).into_owned();
            let vendor = self.vendor(connection, &renamed.vendor)?;
            let endpoint = self.endpoint(connection, &renamed.vendor, vendor, &text)?;
            let columns = USAGES.measures.iter().map(|&measure| super::schema::column(measure));
            let columns: Vec<_> = USAGES.key.iter().copied().chain(columns).collect();
            let select = format!("SELECT {} FROM usage WHERE endpoint = ?1", columns.join(", "));
            let mut statement = connection.prepare_cached(&select)?;
            let mut rows = statement.query([renamed.id])?;
            while let Some(row) = rows.next()? {
                let mut key = [0; 7];
                for (at, value) in key.iter_mut().enumerate() {
                    *value = row.get(at)?;
                }
                key[3] = endpoint;
                let mut measures = neutral();
                for (at, &measure) in USAGES.measures.iter().enumerate() {
                    measures.0[measure as usize] = row.get(key.len() + at)?;
                }
                merge(&mut sums.usages, key, &measures);
            }
            connection.prepare_cached("DELETE FROM usage WHERE endpoint = ?1")?.execute([renamed.id])?;
            connection.prepare_cached("DELETE FROM endpoint WHERE id = ?1")?.execute([renamed.id])?;
        }
        Ok(())
    }

    /// The row of a name, which is made where there is none.
    fn name(&mut self, connection: &Connection, name: &Name) -> Result<i64> {
        if let Some(&id) = self.names.get(&name.id()) {
            return Ok(id);
        }
        connection.prepare_cached("INSERT INTO name (text) VALUES (?1)")?.execute([name.as_str()])?;
        let id = connection.last_insert_rowid();
        self.names.insert(name.id(), id);
        Ok(id)
    }

    fn vendor(&mut self, connection: &Connection, name: &Name) -> Result<i64> {
        let id = self.name(connection, name)?;
        if self.vendor_rows.insert(id) {
            let category = self.vendors.category(name.as_str()).map(code).unwrap_or_default();
            connection
                .prepare_cached("INSERT OR IGNORE INTO vendor VALUES (?1, ?2)")?
                .execute(params![id, category])?;
        }
        Ok(id)
    }

    /// Makes a row of a version that a vendor's API was called in: whether the vendor has retired it.
    fn version(
        &mut self,
        connection: &Connection,
        vendor: &Name,
        vendor_id: i64,
        value: i64,
        text: &str,
    ) -> Result<()> {
        if self.version_rows.insert((vendor_id, value)) {
            let retired = self.vendors.vendor(vendor).and_then(|known| known.deprecation("", text));
            let deprecated = retired.map_or("", |retired| &retired.instead);
            let insert = "INSERT OR REPLACE INTO version VALUES (?1, ?2, ?3)";
            connection.prepare_cached(insert)?.execute(params![vendor_id, value, deprecated])?;
        }
        Ok(())
    }

    fn host(&mut self, connection: &Connection, name: &Name) -> Result<i64> {
        let id = self.name(connection, name)?;
        if self.host_rows.insert(id) {
            let domain = registrable(name.as_str());
            connection.prepare_cached("INSERT OR IGNORE INTO host VALUES (?1, ?2)")?.execute(params![id, domain])?;
        }
        Ok(id)
    }

    fn endpoint(&mut self, connection: &Connection, vendor: &Name, vendor_id: i64, text: &str) -> Result<i64> {
        if let Some(id) = self.endpoints.id(vendor, text) {
            return Ok(id);
        }
        let (method, template) = split_endpoint(text).unwrap_or(("", text));
        let known = self.vendors.verb(vendor.as_str(), text);
        let writes = match known {
            Some(Verb::Read | Verb::List | Verb::Count | Verb::BulkExport | Verb::IdentityCheck) => false,
            Some(Verb::Write | Verb::Delete | Verb::Admin) => true,
            Some(Verb::Token) | None => text != MORE && is_write(text),
        };
        let verb = match known {
            Some(verb) => code(verb),
            None if text == MORE => String::new(),
            None if method.is_empty() => StepClass::of(text).as_str().to_owned(),
            None => if writes { "write" } else { "read" }.to_owned(),
        };
        let version = version_in(text).unwrap_or_default();
        let retired = self.vendors.vendor(vendor).and_then(|known| known.deprecation(text, version));
        let deprecated = retired.map_or("", |retired| &retired.instead);
        let insert = "INSERT INTO endpoint (vendor, method, template, verb, writes, version, deprecated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let row = params![vendor_id, method, template, verb, writes, version, deprecated];
        connection.prepare_cached(insert)?.execute(row)?;
        let id = connection.last_insert_rowid();
        self.endpoints.insert(vendor, text, id);
        Ok(id)
    }

    fn store_overflow(&mut self, connection: &Connection) -> Result<()> {
        let overflows: Vec<_> =
            self.overflow.iter().map(|(&(caller, kind), overflow)| (caller, kind, overflow.clone())).collect();
        for (caller, kind, overflow) in overflows {
            let caller = match self.names.get(&caller) {
                Some(&id) => id,
                None => self.name(connection, &more())?,
            };
            let insert = "INSERT OR REPLACE INTO overflow (caller, kind, calls, first_seen, last_seen, names, sketch) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let Overflow { sketch, calls, first_seen, last_seen } = overflow;
            let names = sketch.estimate() as i64;
            let row = params![caller, kind.as_str(), calls, first_seen, last_seen, names, sketch.bytes()];
            connection.prepare_cached(insert)?.execute(row)?;
        }
        Ok(())
    }
}
