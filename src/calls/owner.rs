//! Who owns a public address: its autonomous system and country, from MaxMind databases that somebody has at hand.
//!
//! A network then is called by its owner (`AS16509 amazon-02 (US)`): offices and clouds change addresses, seldom providers.
//! Networks of hosting providers are recognised by words of the owner's name, since anybody can rent one for an hour.
//! Private addresses have no owner, and without a database every network stays a /24 or /48.
//!
//! Not here: databases themselves (their licences are their owners'), and networks without them (`network`).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maxminddb::{Reader, geoip2};
use serde::Deserialize;
use thiserror::Error;

use super::cidr::Cidr;

/// Words in the names of those who rent out machines by the hour.
const HOSTING: [&str; 34] = [
    "akamai",
    "alibaba",
    "amazon",
    "aws",
    "azure",
    "choopa",
    "cloud",
    "cloudflare",
    "colocation",
    "contabo",
    "datacamp",
    "datacenter",
    "digitalocean",
    "fastly",
    "google",
    "hetzner",
    "hosting",
    "ionos",
    "leaseweb",
    "linode",
    "m247",
    "microsoft",
    "oracle",
    "ovh",
    "proxy",
    "quadranet",
    "rackspace",
    "scaleway",
    "server",
    "servers",
    "tencent",
    "tor",
    "vps",
    "vultr",
];
/// Longest name of an owner in a network's label, bytes.
const MAX_NAME: usize = 48;

/// `[enrichment]`: what is known of networks: databases of who owns which, and one's own proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnerDatabases {
    /// Autonomous systems, in MaxMind's format, as `GeoLite2-ASN.mmdb`.
    pub asn_database: Option<PathBuf>,
    /// Countries, in MaxMind's format, as `GeoLite2-Country.mmdb` or a city database.
    pub country_database: Option<PathBuf>,
    /// Networks of proxies whose word on the addresses behind them is believed: `["10.0.0.0/8"]`.
    pub trusted_proxies: Vec<Cidr>,
}

/// Why a database cannot be used.
#[derive(Debug, Error)]
pub enum OwnerError {
    /// The file cannot be read.
    #[error("{path}: cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no database of MaxMind's format.
    #[error("{path}: not a database in MaxMind's format: {reason}")]
    NoDatabase {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The database holds something else.
    #[error("{path}: enrichment.{field}: a database of type {found} does not tell that")]
    WrongKind {
        /// Which file.
        path: PathBuf,
        /// Field of the pipeline file.
        field: &'static str,
        /// The type that the database declares.
        found: String,
    },
}

/// Opened databases; by default none, and then nobody owns anything.
#[derive(Clone, Default)]
pub struct Owners {
    asn: Option<Arc<Reader<Vec<u8>>>>,
    country: Option<Arc<Reader<Vec<u8>>>>,
    /// Networks of trusted proxies.
    pub(super) trusted_proxies: Vec<Cidr>,
}

impl Owners {
    /// Reads the databases into memory.
    ///
    /// # Errors
    /// Where one cannot be read, or holds something else.
    pub fn open(databases: &OwnerDatabases) -> Result<Self, OwnerError> {
        let asn = databases.asn_database.as_deref().map(|path| open(path, "asn_database", &["ASN", "ISP"]));
        let country = databases.country_database.as_deref();
        let country = country.map(|path| open(path, "country_database", &["Country", "City", "Enterprise"]));
        Ok(Self {
            asn: asn.transpose()?.map(Arc::new),
            country: country.transpose()?.map(Arc::new),
            trusted_proxies: databases.trusted_proxies.clone(),
        })
    }

    /// The label of an address's owner, `None` for an address that no database knows. `network` is its /24 or /48, which
    /// stands for the owner where only the country is known.
    pub(super) fn label(&self, address: IpAddr, network: &str) -> Option<String> {
        let owner = self.asn.as_ref().and_then(|reader| owner_in(reader, address));
        match (owner, self.country.as_ref().and_then(|reader| country_in(reader, address))) {
            (None, None) => None,
            (Some(owner), None) => Some(owner),
            (owner, Some(country)) => Some(format!("{} ({country})", owner.as_deref().unwrap_or(network))),
        }
    }
}

fn open(path: &Path, field: &'static str, kinds: &[&str]) -> Result<Reader<Vec<u8>>, OwnerError> {
    let bytes = std::fs::read(path).map_err(|source| OwnerError::Unreadable { path: path.to_owned(), source })?;
    let reader = Reader::from_source(bytes)
        .map_err(|error| OwnerError::NoDatabase { path: path.to_owned(), reason: error.to_string() })?;
    let found = reader.metadata.database_type.clone();
    if !kinds.iter().any(|kind| found.contains(kind)) {
        return Err(OwnerError::WrongKind { path: path.to_owned(), field, found });
    }
    Ok(reader)
}

fn owner_in(reader: &Reader<Vec<u8>>, address: IpAddr) -> Option<String> {
    let asn: geoip2::Asn = reader.lookup(address).ok()?.decode().ok()??;
    let name = asn.autonomous_system_organization.unwrap_or_default().to_lowercase();
    let name: String = name.chars().filter(|symbol| !matches!(symbol, '(' | ')')).collect();
    let end = (0..=name.len().min(MAX_NAME)).rev().find(|&end| name.is_char_boundary(end)).unwrap_or_default();
    Some(format!("AS{} {}", asn.autonomous_system_number?, &name[..end]).trim_end().to_owned())
}

fn country_in(reader: &Reader<Vec<u8>>, address: IpAddr) -> Option<String> {
    let country: geoip2::Country = reader.lookup(address).ok()?.decode().ok()??;
    country.country.iso_code.map(str::to_owned)
}

/// Whether a network's label names an owner that rents out machines.
pub fn is_hosting(network: &str) -> bool {
    let name = network.strip_prefix("AS").and_then(|rest| rest.split_once(' ')).map_or("", |(_, name)| name);
    name.split(|symbol: char| !symbol.is_alphanumeric()).any(|word| HOSTING.contains(&word))
}

/// The country that a network's label names, by its ISO 3166 code; empty where it names none.
pub fn country_of(network: &str) -> &str {
    network.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map_or("", |(_, country)| country)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of MaxMind's format: type and its bytes.
    fn value(kind: u8, size: usize, bytes: &[u8]) -> Vec<u8> {
        let bits = if kind > 7 { 0 } else { kind << 5 };
        let mut out = vec![bits | size.min(29) as u8];
        out.extend((kind > 7).then(|| kind - 7));
        out.extend((size >= 29).then(|| (size - 29) as u8));
        out.extend(bytes);
        out
    }

    fn text(text: &str) -> Vec<u8> {
        value(2, text.len(), text.as_bytes())
    }

    fn number(kind: u8, number: u32) -> Vec<u8> {
        let bytes = number.to_be_bytes();
        let skip = (number.leading_zeros() / 8) as usize;
        value(kind, 4 - skip, &bytes[skip..])
    }

    fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let bytes: Vec<u8> = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
        value(7, entries.len(), &bytes)
    }

    /// A database in which the addresses that begin with a byte have an entry, and no others.
    fn database(kind: &str, first_byte: u8, entry: &[u8]) -> Vec<u8> {
        const NODES: u32 = 8;
        let mut tree = Vec::new();
        for depth in 0..NODES {
            let (next, is_one) = (depth + 1, first_byte >> (7 - depth) & 1 == 1);
            // Past the last node: the entry at offset 0 of the data, which begins 16 bytes after the tree.
            let next = if next == NODES { NODES + 16 } else { next };
            for record in if is_one { [NODES, next] } else { [next, NODES] } {
                tree.extend(&record.to_be_bytes()[1..]);
            }
        }
        let metadata = map(&[
            ("binary_format_major_version", number(5, 2)),
            ("binary_format_minor_version", number(5, 0)),
            ("build_epoch", number(9, 1_700_000_000)),
            ("database_type", text(kind)),
            ("description", map(&[])),
            ("ip_version", number(5, 4)),
            ("languages", value(11, 0, &[])),
            ("node_count", number(6, NODES)),
            ("record_size", number(5, 24)),
        ]);
        [tree, vec![0; 16], entry.to_vec(), b"\xab\xcd\xefMaxMind.com".to_vec(), metadata].concat()
    }

    fn databases(folder: &Path) -> OwnerDatabases {
        let owner = map(&[
            ("autonomous_system_number", number(6, 16_509)),
            ("autonomous_system_organization", text("AMAZON-02")),
        ]);
        let country = map(&[("country", map(&[("iso_code", text("US"))]))]);
        let (asn, countries) = (folder.join("asn.mmdb"), folder.join("country.mmdb"));
        std::fs::write(&asn, database("Test-ASN", 3, &owner)).unwrap();
        std::fs::write(&countries, database("Test-Country", 3, &country)).unwrap();
        OwnerDatabases { asn_database: Some(asn), country_database: Some(countries), ..OwnerDatabases::default() }
    }

    #[test]
    fn a_public_address_is_called_by_its_owner_and_country() {
        let folder = tempfile::tempdir().unwrap();
        let both = databases(folder.path());
        let label = |databases: &OwnerDatabases, address: &str| {
            Owners::open(databases).unwrap().label(address.parse().unwrap(), "3.5.1.0/24")
        };
        assert_eq!(label(&both, "3.5.1.9").as_deref(), Some("AS16509 amazon-02 (US)"));
        assert_eq!(label(&both, "4.5.1.9"), None);
        let country = OwnerDatabases { asn_database: None, ..both.clone() };
        assert_eq!(label(&country, "3.5.1.9").as_deref(), Some("3.5.1.0/24 (US)"));
        assert_eq!(label(&OwnerDatabases::default(), "3.5.1.9"), None);
    }

    #[test]
    fn a_database_of_another_kind_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let both = databases(folder.path());
        let swapped = OwnerDatabases { asn_database: both.country_database, ..OwnerDatabases::default() };
        let refusal = Owners::open(&swapped).err().unwrap().to_string();
        assert!(refusal.contains("enrichment.asn_database: a database of type Test-Country"), "{refusal}");
        let nothing = OwnerDatabases { asn_database: Some(folder.path().join("none")), ..OwnerDatabases::default() };
        assert!(matches!(Owners::open(&nothing), Err(OwnerError::Unreadable { .. })));
    }

    #[test]
    fn who_rents_out_machines_is_told_by_a_word_of_the_name() {
        for network in ["AS16509 amazon-02 (US)", "AS24940 hetzner online gmbh", "AS9009 m247 europe srl (RO)"] {
            assert!(is_hosting(network), "{network}");
        }
        for network in ["AS3320 deutsche telekom ag (DE)", "AS1 victor", "3.5.1.0/24 (US)", "amazonaws", ""] {
            assert!(!is_hosting(network), "{network}");
        }
        assert_eq!((country_of("AS1 victor (DE)"), country_of("10.1.0.0/24"), country_of("")), ("DE", "", ""));
    }
}
