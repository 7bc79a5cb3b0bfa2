//! Enrichment: what the texts of a call mean, each worked out once and looked up ever after.
//!
//! Each text passes through the search for secrets on its way.
//!
//! Not here: what a host, path or user agent means (one file each beside this one), and the rows of a batch (`builder`).

use std::borrow::Cow;
use std::sync::Arc;

use super::cache::Cache;
use super::content::Content;
use super::credential::{self, FingerprintKey};
use super::credential_kind::CredentialKind;
use super::data_class::{DataClass, DataClasses, of_media_type};
use super::endpoint::version_in;
use super::name::Name;
use super::network::origin;
use super::owner::Owners;
use super::schema::DIMENSIONS;
use super::secret::looks_secret;
use super::vendor::Party;
use super::vendor_pack::{Price, Vendor, VendorCategory, VendorPack, Verb};
use super::{Call, Channel, PrincipalKind, StepClass, View, client, network};

/// Texts of a kind that are cached.
const MAX_TEXTS: usize = 16_384;
/// Endpoints of one vendor that are cached.
const MAX_ENDPOINTS: usize = 2_048;
/// Addresses that are cached.
const MAX_ADDRESSES: usize = 65_536;
/// Longest text in a column, bytes: longer ones are cut.
const MAX_TEXT_BYTES: usize = 256;

/// The call names neither a host nor a vendor.
pub(super) struct NoVendor;

/// What texts mean, each worked out once.
pub(super) struct Enrichment {
    key: Arc<FingerprintKey>,
    vendors: Arc<VendorPack>,
    /// By the index of their vendor.
    endpoints: Vec<Cache<KnownEndpoint>>,
    pub owners: Owners,
    names: Cache<Name>,
    parties: Cache<KnownParty>,
    fingerprints: Cache<KnownCredential>,
    networks: Cache<Name>,
    clients: Cache<KnownClient>,
    operations: Cache<KnownOperation>,
    content_types: Cache<KnownType>,
    /// Of vendors that the pack does not know.
    other_endpoints: Cache<KnownEndpoint>,
    codes: Codes,
}

/// Whose API a host is.
struct KnownParty {
    host: Name,
    vendor: Name,
    /// Index of a known vendor in the pack.
    index: Option<usize>,
}

/// What the pack and the name tell of an endpoint.
struct KnownEndpoint {
    name: Name,
    price: Price,
    /// Version in its path.
    version: Name,
    /// Classes of data that its calls have, whatever the log shows.
    sent: DataClasses,
    received: DataClasses,
}

impl KnownEndpoint {
    fn of(name: &str, price: Price) -> Self {
        let version = version_in(name).map(Name::new).unwrap_or_default();
        let (sent, received) = Default::default();
        Self { name: Name::new(clip(name)), price, version, sent, received }
    }

    /// What a vendor's category and verb tell of data: models are asked something, archives of code are code.
    fn of_known(vendor: &Vendor, name: &str, price: Price, verb: Verb) -> Self {
        let (mut sent, mut received) = (DataClasses::default(), DataClasses::default());
        match (vendor.category, verb) {
            (VendorCategory::Llm, Verb::Write) => sent.add(DataClasses::of(DataClass::Prompts)),
            (VendorCategory::Code, Verb::BulkExport) => received.add(DataClasses::of(DataClass::SourceCode)),
            _ => {}
        }
        Self { sent, received, ..Self::of(name, price) }
    }
}

/// A credential's fingerprint, and the kind that its beginning tells.
struct KnownCredential {
    fingerprint: Name,
    kind: Option<CredentialKind>,
}

/// A media type, and what it tells of data.
struct KnownType {
    name: Name,
    classes: DataClasses,
}

/// What a user agent tells.
struct KnownClient {
    family: Name,
    release: i64,
}

/// What an audit operation's name tells.
struct KnownOperation {
    name: Name,
    /// Where the record does not say whether it only reads; where it changes something; where it does not.
    steps: [StepClass; 3],
}

/// The names of values that no log writes: those of enumerations.
struct Codes {
    empty: Name,
    views: [Name; 2],
    schemes: [Name; 2],
    tls_versions: Vec<Name>,
    principals: [Name; PrincipalKind::ALL.len()],
    channels: [Name; Channel::ALL.len()],
    steps: [Name; StepClass::ALL.len()],
    kinds: [Name; CredentialKind::ALL.len()],
    data: Vec<Name>,
}

const SCHEMES: [&str; 2] = ["https", "http"];
const TLS_VERSIONS: [&str; 6] = ["ssl2", "ssl3", "1.0", "1.1", "1.2", "1.3"];

impl Codes {
    fn new() -> Self {
        Self {
            empty: Name::default(),
            views: [View::Egress, View::Audit].map(|view| Name::new(view.as_str())),
            schemes: SCHEMES.map(Name::new),
            tls_versions: TLS_VERSIONS.map(Name::new).to_vec(),
            principals: PrincipalKind::ALL.map(|kind| Name::new(kind.as_str())),
            channels: Channel::ALL.map(|channel| Name::new(channel.as_str())),
            steps: StepClass::ALL.map(|step| Name::new(step.as_str())),
            kinds: CredentialKind::ALL.map(|kind| Name::new(kind.as_str())),
            data: (0..DataClasses::COUNT).map(|index| Name::new(&DataClasses::at(index).text())).collect(),
        }
    }

    fn scheme(&self, logged: &str) -> &Name {
        let known = SCHEMES.iter().position(|known| known.eq_ignore_ascii_case(logged));
        known.map_or(&self.empty, |index| &self.schemes[index])
    }

    fn tls_version(&self, logged: &str) -> &Name {
        tls_version(logged).map_or(&self.empty, |index| &self.tls_versions[index])
    }

    fn step(&self, step: Option<StepClass>) -> &Name {
        step.map_or(&self.empty, |step| &self.steps[step as usize])
    }
}

impl Enrichment {
    pub fn new(key: Arc<FingerprintKey>, vendors: Arc<VendorPack>) -> Self {
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
            operations: Cache::new(MAX_TEXTS),
            content_types: Cache::new(MAX_TEXTS),
            other_endpoints: Cache::new(MAX_TEXTS),
            codes: Codes::new(),
        }
    }

    /// What `read` makes of the name of each dimension, in their order, and what the call costs. `content` is what it shows beside them,
    /// `shaped` the shape of its method and path, `None` for an audit operation.
    pub fn resolve<R>(
        &mut self,
        call: &Call<'_>,
        content: &Content<'_>,
        shaped: Option<&str>,
        read: impl Fn(&Name) -> R,
    ) -> Result<([R; DIMENSIONS], Price), NoVendor> {
        let fixed_vendor = call.vendor.map(|vendor| self.name(vendor, &read));
        let ((host, own_vendor), index) = self.party(&call.host, |party| {
            ((read(&party.host), (!party.vendor.is_empty()).then(|| read(&party.vendor))), party.index)
        });
        let vendor = fixed_vendor.or(own_vendor).ok_or(NoVendor)?;
        let (mut sent, mut received) = (content.sent, content.received);
        let (endpoint, price, step, path_version) = match shaped {
            Some(shaped) => self.endpoint(index, shaped, |known| {
                sent.add(known.sent);
                received.add(known.received);
                (read(&known.name), known.price, None, read(&known.version))
            }),
            None => {
                let (endpoint, step) = self.operation(text(call.operation.as_ref()), call.read_only, &read);
                (endpoint, Price::default(), Some(call.step.unwrap_or(step)), read(&self.codes.empty))
            }
        };
        if call.tokens_in.is_some_and(|tokens| tokens > 0) {
            sent.add(DataClasses::of(DataClass::Prompts));
        }
        let api_version = match &content.version {
            Some(version) => self.name(version, &read),
            None => path_version,
        };
        let redirect = self.redirect(call, &read);
        let caller = self.name(present(&call.caller), &read);
        let (credential, kind) = self.credential(call, content, &read);
        let network = self.network(text(call.src_ip.as_ref()), &read);
        let client = self.client(text(call.user_agent.as_ref()), |known| read(&known.family));
        let region = self.name(text(call.region.as_ref()), &read);
        let account = self.name(text(call.account.as_ref()), &read);
        let content_type = self.content_type(text(call.content_type.as_ref()), |known| {
            received.add(known.classes);
            read(&known.name)
        });
        self.content_type(text(call.request_type.as_ref()), |known| sent.add(known.classes));
        let codes = &self.codes;
        // In the order of `Dimension`, which a test holds.
        let resolved = [
            read(&codes.views[call.view as usize]),
            caller,
            vendor,
            host,
            endpoint,
            credential,
            network,
            client,
            region,
            read(codes.scheme(text(call.scheme.as_ref()))),
            read(codes.tls_version(text(call.tls_version.as_ref()))),
            account,
            read(&codes.principals[call.principal as usize]),
            read(&codes.channels[call.channel as usize]),
            read(codes.step(step)),
            content_type,
            read(&codes.kinds[kind as usize]),
            api_version,
            read(&codes.data[sent.index()]),
            read(&codes.data[received.index()]),
            redirect,
        ];
        Ok((resolved, price))
    }

    /// A text that stays as it is, unless it looks like a secret.
    fn name<R>(&mut self, text: &str, read: impl FnOnce(&Name) -> R) -> R {
        if text.is_empty() {
            return read(&self.codes.empty);
        }
        let key = &self.key;
        self.names.with(
            text,
            |text| if looks_secret(text) { Name::new(&key.redact(text)) } else { Name::new(clip(text)) },
            read,
        )
    }

    /// Judged as logged: a key in lower case is still the key, and no longer looks like one.
    fn party<R>(&mut self, host: &str, read: impl FnOnce(&KnownParty) -> R) -> R {
        let (key, vendors) = (&self.key, &self.vendors);
        let party = |host: &str| {
            let party = Party::of(host, vendors);
            if looks_secret(host) && !is_address(&party) {
                let redacted = Name::new(&key.redact(host));
                return KnownParty { host: redacted.clone(), vendor: redacted, index: None };
            }
            let (host, vendor) = (Name::new(clip(&party.host)), Name::new(clip(&party.vendor)));
            KnownParty { host, vendor, index: party.place }
        };
        self.parties.with(host, party, read)
    }

    /// The name that the pack gives a vendor's endpoint, else its own; and what it tells.
    fn endpoint<R>(&mut self, vendor: Option<usize>, shaped: &str, read: impl FnOnce(&KnownEndpoint) -> R) -> R {
        let known = vendor.and_then(|index| Some((self.vendors.vendors().get(index)?, self.endpoints.get_mut(index)?)));
        let Some((vendor, endpoints)) = known.filter(|(vendor, _)| vendor.has_endpoints()) else {
            // A shape holds no secret.
            return self.other_endpoints.with(shaped, |shaped| KnownEndpoint::of(shaped, Price::default()), read);
        };
        let look_up = |shaped: &str| match vendor.endpoint(shaped) {
            Some((endpoint, name)) => KnownEndpoint::of_known(vendor, &name, endpoint.price, endpoint.verb),
            None => KnownEndpoint::of(shaped, Price::default()),
        };
        endpoints.with(shaped, look_up, read)
    }

    fn operation<R>(
        &mut self,
        operation: &str,
        read_only: Option<bool>,
        read: impl FnOnce(&Name) -> R,
    ) -> (R, StepClass) {
        let key = &self.key;
        let known = |operation: &str| {
            let name = if looks_secret(operation) { key.redact(operation) } else { clip(operation).to_owned() };
            let steps = [None, Some(false), Some(true)].map(|read_only| StepClass::of_record(&name, read_only));
            KnownOperation { steps, name: Name::new(&name) }
        };
        let [unknown, changes, reads] = [0, 1, 2];
        let word = read_only.map_or(unknown, |read_only| if read_only { reads } else { changes });
        self.operations.with(operation, known, |known| (read(&known.name), known.steps[word]))
    }

    /// The fingerprint and the kind of a call's credential: that of a header, else the key in the URL. A key in the URL gives the kind even
    /// beside another: it is the one that others read.
    fn credential<R>(
        &mut self,
        call: &Call<'_>,
        content: &Content<'_>,
        read: impl FnOnce(&Name) -> R,
    ) -> (R, CredentialKind) {
        let in_url = content.key.as_ref();
        let logged = text(call.credential.as_ref());
        let credential = if logged.is_empty() { in_url.map_or("", |(key, _)| key) } else { logged };
        if credential.is_empty() {
            return (read(&self.codes.empty), CredentialKind::Unknown);
        }
        let key = &self.key;
        let mark = |text: &str| match credential::is_masked(text) {
            true => KnownCredential { fingerprint: Name::default(), kind: None },
            false => KnownCredential {
                fingerprint: Name::new(&key.fingerprint(text)),
                kind: CredentialKind::of_beginning(credential::without_scheme(text)),
            },
        };
        self.fingerprints.with(credential, mark, |known| {
            let of_place = match call.credential_kind {
                CredentialKind::Unknown => CredentialKind::of_view(call.view),
                known => known,
            };
            let own = known.kind.unwrap_or(of_place);
            let kind = match in_url {
                Some((_, kind)) if logged.is_empty() || *kind != CredentialKind::SignedUrl => *kind,
                _ if known.fingerprint.is_empty() => CredentialKind::Unknown,
                _ => own,
            };
            (read(&known.fingerprint), kind)
        })
    }

    /// The host that a redirect led to, where it is not the one that was called.
    fn redirect<R>(&mut self, call: &Call<'_>, read: impl FnOnce(&Name) -> R) -> R {
        let is_redirect = call.status.is_none_or(|status| (300..400).contains(&status));
        let target = text(call.location.as_ref());
        // `/path` stays; `//host/path` goes.
        let target = target.strip_prefix("//").or_else(|| target.split_once("://").map(|(_, rest)| rest));
        let target = target.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let Some(target) = target.filter(|target| is_redirect && !target.is_empty()) else {
            return read(&self.codes.empty);
        };
        let from = self.party(&call.host, |party| party.host.clone());
        let to = self.party(target, |party| party.host.clone());
        read(if to == from { &self.codes.empty } else { &to })
    }

    fn network<R>(&mut self, address: &str, read: impl FnOnce(&Name) -> R) -> R {
        let owners = &self.owners;
        let network = |address: &str| {
            let address = origin(address, &owners.trusted_proxies).unwrap_or(address);
            Name::new(&network::named_network_of(address, owners))
        };
        self.networks.with(address, network, read)
    }

    fn client<R>(&mut self, user_agent: &str, read: impl FnOnce(&KnownClient) -> R) -> R {
        let key = &self.key;
        let known = |agent: &str| {
            let family = client::family(agent);
            KnownClient {
                release: family.as_ref().map_or(0, |_| client::release(agent)),
                family: Name::new(&family.unwrap_or_else(|| key.redact(agent))),
            }
        };
        self.clients.with(user_agent, known, read)
    }

    /// The number of the release that a user agent is of (see [`client::release`]).
    pub fn release(&mut self, user_agent: &str) -> i64 {
        self.client(user_agent, |known| known.release)
    }

    fn content_type<R>(&mut self, logged: &str, read: impl FnOnce(&KnownType) -> R) -> R {
        let known = |logged: &str| {
            let media_type = media_type(logged);
            KnownType { name: Name::new(&media_type), classes: of_media_type(&media_type) }
        };
        self.content_types.with(logged, known, read)
    }
}

pub(super) fn text<'a>(field: Option<&'a Cow<'a, str>>) -> &'a str {
    field.map(|text| present(text)).unwrap_or_default()
}

/// A text as logged, trimmed; empty where it is the dash that access logs write for nothing.
pub(super) fn present(text: &str) -> &str {
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

/// Longest media type that is kept, bytes (RFC 6838 allows 127 for each half; none in use comes near).
const MAX_MEDIA_TYPE: usize = 100;

/// Top-level media types (IANA, "Media Types").
const MEDIA_KINDS: [&str; 10] =
    ["application", "audio", "font", "haptics", "image", "message", "model", "multipart", "text", "video"];

/// `Application/JSON; charset=utf-8` is `application/json`; what is no media type is empty.
fn media_type(logged: &str) -> String {
    let logged = logged.split(';').next().unwrap_or_default().trim();
    let essence = logged.to_ascii_lowercase();
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let is_known = |(kind, subtype): (&str, &str)| MEDIA_KINDS.contains(&kind) && is_token(subtype);
    let is_type = essence.split_once('/').is_some_and(is_known);
    // Judged as logged: a key in lower case no longer looks like one.
    if is_type && essence.len() <= MAX_MEDIA_TYPE && !looks_secret(logged) { essence } else { String::new() }
}

/// `TLSv1.2`, `TLS 1.2`, `tls1_2` and `1.2` are `1.2`: its index in [`TLS_VERSIONS`]; what is no known version has none.
fn tls_version(logged: &str) -> Option<usize> {
    let number = logged.trim_start_matches(|c: char| c.is_ascii_alphabetic() || " -_".contains(c));
    let is_ssl = logged.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ssl"));
    match (is_ssl, number) {
        (true, "2" | "2.0" | "20") => Some(0),
        (true, "3" | "3.0" | "30") => Some(1),
        (false, "1" | "1.0" | "1_0" | "10") => Some(2),
        (false, "1.1" | "1_1" | "11") => Some(3),
        (false, "1.2" | "1_2" | "12") => Some(4),
        (false, "1.3" | "1_3" | "13") => Some(5),
        _ => None,
    }
}
