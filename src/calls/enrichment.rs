//! Enrichment: what the texts of a call mean, each worked out once and looked up ever after.
//!
//! Each text passes through the search for secrets on its way.
//!
//! Not here: what a host, path or user agent means (one file each beside this one), and the rows of a batch (`builder`).

use std::borrow::Cow;
use std::sync::Arc;

use super::cache::Cache;
use super::credential::{self, FingerprintKey};
use super::name::Name;
use super::network::origin;
use super::owner::Owners;
use super::schema::DIMENSIONS;
use super::secret::looks_secret;
use super::vendor::Party;
use super::vendor_pack::{Price, VendorPack};
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
    fingerprints: Cache<Name>,
    networks: Cache<Name>,
    clients: Cache<Name>,
    operations: Cache<KnownOperation>,
    content_types: Cache<Name>,
    codes: Codes,
}

/// Whose API a host is.
struct KnownParty {
    host: Name,
    vendor: Name,
    /// Index of a known vendor in the pack.
    index: Option<usize>,
}

/// What the pack knows of an endpoint.
struct KnownEndpoint {
    name: Name,
    price: Price,
}

/// What an audit operation's name tells.
struct KnownOperation {
    name: Name,
    step: StepClass,
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
            codes: Codes::new(),
        }
    }

    /// What `read` makes of the name of each dimension, in their order, and what the call costs. `shaped` is the shape of its
    /// method and path, `None` for an audit operation.
    pub fn resolve<R>(
        &mut self,
        call: &Call<'_>,
        shaped: Option<&str>,
        read: impl Fn(&Name) -> R,
    ) -> Result<([R; DIMENSIONS], Price), NoVendor> {
        let fixed_vendor = call.vendor.map(|vendor| self.name(vendor, &read));
        let ((host, own_vendor), index) = self.party(&call.host, |party| {
            ((read(&party.host), (!party.vendor.is_empty()).then(|| read(&party.vendor))), party.index)
        });
        let vendor = fixed_vendor.or(own_vendor).ok_or(NoVendor)?;
        let (endpoint, price, step) = match shaped {
            Some(shaped) => {
                let (endpoint, price) = self.endpoint(index, shaped, &read);
                (endpoint, price, None)
            }
            None => {
                let (endpoint, step) = self.operation(text(call.operation.as_ref()), &read);
                (endpoint, Price::default(), Some(call.step.unwrap_or(step)))
            }
        };
        let caller = self.name(present(&call.caller), &read);
        let credential = self.fingerprint(text(call.credential.as_ref()), &read);
        let network = self.network(text(call.src_ip.as_ref()), &read);
        let client = self.client(text(call.user_agent.as_ref()), &read);
        let region = self.name(text(call.region.as_ref()), &read);
        let account = self.name(text(call.account.as_ref()), &read);
        let content_type = self.content_type(text(call.content_type.as_ref()), &read);
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

    /// The name that the pack gives a vendor's endpoint, else its own; and what a call costs.
    fn endpoint<R>(&mut self, vendor: Option<usize>, shaped: &str, read: impl FnOnce(&Name) -> R) -> (R, Price) {
        let known = vendor.and_then(|index| Some((self.vendors.vendors().get(index)?, self.endpoints.get_mut(index)?)));
        let Some((vendor, endpoints)) = known.filter(|(vendor, _)| vendor.has_endpoints()) else {
            // A shape holds no secret.
            return (self.names.with(shaped, |shaped| Name::new(clip(shaped)), read), Price::default());
        };
        let look_up = |shaped: &str| match vendor.endpoint(shaped) {
            Some((endpoint, name)) => KnownEndpoint { name: Name::new(clip(&name)), price: endpoint.price },
            None => KnownEndpoint { name: Name::new(clip(shaped)), price: Price::default() },
        };
        endpoints.with(shaped, look_up, |known| (read(&known.name), known.price))
    }

    fn operation<R>(&mut self, operation: &str, read: impl FnOnce(&Name) -> R) -> (R, StepClass) {
        let key = &self.key;
        let known = |operation: &str| {
            let name = if looks_secret(operation) { key.redact(operation) } else { clip(operation).to_owned() };
            KnownOperation { step: StepClass::of(&name), name: Name::new(&name) }
        };
        self.operations.with(operation, known, |known| (read(&known.name), known.step))
    }

    fn fingerprint<R>(&mut self, credential: &str, read: impl FnOnce(&Name) -> R) -> R {
        if credential.is_empty() {
            return read(&self.codes.empty);
        }
        let key = &self.key;
        let mark = |text: &str| {
            if credential::is_masked(text) { Name::default() } else { Name::new(&key.fingerprint(text)) }
        };
        self.fingerprints.with(credential, mark, read)
    }

    fn network<R>(&mut self, address: &str, read: impl FnOnce(&Name) -> R) -> R {
        let owners = &self.owners;
        let network = |address: &str| {
            let address = origin(address, &owners.trusted_proxies).unwrap_or(address);
            Name::new(&network::named_network_of(address, owners))
        };
        self.networks.with(address, network, read)
    }

    fn client<R>(&mut self, user_agent: &str, read: impl FnOnce(&Name) -> R) -> R {
        let key = &self.key;
        let family = |agent: &str| Name::new(&client::family(agent).unwrap_or_else(|| key.redact(agent)));
        self.clients.with(user_agent, family, read)
    }

    fn content_type<R>(&mut self, logged: &str, read: impl FnOnce(&Name) -> R) -> R {
        if logged.is_empty() {
            return read(&self.codes.empty);
        }
        self.content_types.with(logged, |logged| Name::new(&media_type(logged)), read)
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
