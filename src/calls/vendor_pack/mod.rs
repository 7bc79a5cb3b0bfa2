//! The vendor pack: what is known of vendors, a small file each.
//!
//! The files of `datasets/vendors` are in the program; a directory of the user's adds to them. A vendor of the user's replaces the
//! one of the same name, and takes over the domains that it claims.
//!
//! Not here: the facts themselves (`datasets/vendors`), and what a host or an endpoint is (`vendor`, `endpoint`).

mod deprecated;
mod facts;
mod file;
mod pattern;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use foldhash::{HashMap, HashSet};
use include_dir::{Dir, include_dir};

pub use deprecated::{Deprecation, Version};
pub use facts::{Price, VendorCategory, Verb};
pub use file::PackError;

use self::file::{Owner, Text};
use self::pattern::Pattern;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/datasets/vendors");
/// The files of the program, read once.
static EMBEDDED: LazyLock<Arc<VendorPack>> = LazyLock::new(|| {
    let mut pack = VendorPack::default();
    // A test reads every file, so none is left out.
    embedded_files().filter_map(|text| text.read().ok()).flatten().for_each(|owner| pack.add(owner));
    Arc::new(pack)
});

fn embedded_files() -> impl Iterator<Item = Text<'static>> {
    let files = FILES.files().filter(|file| is_pack_file(file.path()));
    files.filter_map(|file| file.contents_utf8().map(|text| Text { file: file.path(), text }))
}

fn is_pack_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// What is known of vendors.
#[derive(Clone, Debug, Default)]
pub struct VendorPack {
    vendors: Vec<Vendor>,
    /// Indexes into `vendors`.
    by_name: HashMap<String, usize>,
    by_domain: HashMap<String, usize>,
}

/// What is known of one vendor.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// Name in frames, files and alerts.
    pub name: String,
    /// What kind of service it offers.
    pub category: VendorCategory,
    endpoints: Vec<Endpoint>,
    deprecated: Vec<Deprecation>,
}

/// What is known of an endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pattern: Pattern,
    /// What a call does.
    pub verb: Verb,
    /// What a call costs.
    pub price: Price,
}

impl Vendor {
    /// The first of the vendor's endpoints that an endpoint (`GET /repos/acme/site`) matches, and its name by that pattern
    /// (`GET /repos/{id}/{id}`).
    pub fn endpoint(&self, endpoint: &str) -> Option<(&Endpoint, String)> {
        self.endpoints.iter().find_map(|known| known.pattern.name_of(endpoint).map(|name| (known, name)))
    }

    /// What is deprecated of a call to an endpoint in a version of the API; the version is empty where it is not known.
    pub fn deprecation(&self, endpoint: &str, version: &str) -> Option<&Deprecation> {
        self.deprecated.iter().find(|one| one.covers(endpoint, version))
    }

    /// Whether any endpoint is known.
    pub fn has_endpoints(&self) -> bool {
        !self.endpoints.is_empty()
    }
}

impl VendorPack {
    /// What the program brings along.
    pub fn embedded() -> Arc<Self> {
        Arc::clone(&EMBEDDED)
    }

    /// What the program brings along, and the `*.toml` files of a directory.
    ///
    /// # Errors
    /// [`PackError`], naming file, line and field; also where two files of the directory claim one vendor or domain.
    pub fn with_directory(directory: &Path) -> Result<Self, PackError> {
        let unreadable = |problem| PackError::Unreadable { path: directory.to_owned(), problem };
        let entries = std::fs::read_dir(directory).map_err(unreadable)?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut paths: Vec<_> = paths.collect::<Result<_, _>>().map_err(unreadable)?;
        paths.retain(|path| is_pack_file(path));
        paths.sort_unstable();
        let mut pack = Self::clone(&EMBEDDED);
        let mut claimed = Claimed::default();
        for path in &paths {
            let text = std::fs::read_to_string(path)
                .map_err(|problem| PackError::Unreadable { path: path.clone(), problem })?;
            let text = Text { file: path, text: &text };
            for owner in text.read()? {
                claimed.claim(&owner, text)?;
                pack.add(owner);
            }
        }
        Ok(pack)
    }

    /// Adds a vendor, or replaces the one of its name.
    fn add(&mut self, (vendor, domains): Owner) {
        let index = match self.by_name.get(&vendor.name) {
            Some(&index) => {
                self.by_domain.retain(|_, owner| *owner != index);
                self.vendors[index] = vendor;
                index
            }
            None => {
                self.by_name.insert(vendor.name.clone(), self.vendors.len());
                self.vendors.push(vendor);
                self.vendors.len() - 1
            }
        };
        self.by_domain.extend(domains.into_iter().map(|(domain, _)| (domain, index)));
    }

    /// Every vendor.
    pub fn vendors(&self) -> &[Vendor] {
        &self.vendors
    }

    /// A vendor by its name.
    pub fn vendor(&self, name: &str) -> Option<&Vendor> {
        self.by_name.get(name).and_then(|&index| self.vendors.get(index))
    }

    /// Index in [`vendors`](Self::vendors) of the vendor that owns a domain itself, or not at all.
    pub(super) fn index_of_domain(&self, domain: &str) -> Option<usize> {
        self.by_domain.get(domain).copied()
    }

    /// What kind of service a vendor offers.
    pub fn category(&self, vendor: &str) -> Option<VendorCategory> {
        self.vendor(vendor).map(|vendor| vendor.category)
    }

    /// What a call to an endpoint does; `None` where the pack does not know.
    pub fn verb(&self, vendor: &str, endpoint: &str) -> Option<Verb> {
        self.vendor(vendor)?.endpoint(endpoint).map(|(known, _)| known.verb)
    }
}

/// Names and domains that the files of one directory have claimed.
#[derive(Default)]
struct Claimed {
    names: HashSet<String>,
    domains: HashSet<String>,
}

impl Claimed {
    fn claim(&mut self, (vendor, domains): &Owner, text: Text<'_>) -> Result<(), PackError> {
        for (domain, span) in domains {
            if !self.domains.insert(domain.clone()) {
                return Err(text.at(span, "domains", "another vendor has claimed this domain: remove one"));
            }
        }
        if !self.names.insert(vendor.name.clone()) {
            return Err(text.at(&(0..0), "name", "another file has claimed this vendor: remove one"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_pack_opens_and_no_vendor_or_domain_is_there_twice() {
        let mut claimed = Claimed::default();
        let mut files = 0;
        for text in embedded_files() {
            files += 1;
            let owners = text.read().unwrap_or_else(|error| panic!("{error}"));
            for owner in &owners {
                claimed.claim(owner, text).unwrap_or_else(|error| panic!("{error}"));
                let is_named_after = text.file.file_stem().is_some_and(|stem| *stem == *owner.0.name);
                assert!(is_named_after || owner.0.name == owner.1[0].0, "{}: is named otherwise", text.file.display());
            }
        }
        assert!(files > 60 && VendorPack::embedded().vendors().len() > files);
    }

    #[test]
    fn every_endpoint_of_the_pack_can_be_met() {
        for vendor in VendorPack::embedded().vendors() {
            for (index, endpoint) in vendor.endpoints.iter().enumerate() {
                let met = endpoint.pattern.example();
                let first = vendor.endpoints.iter().position(|known| known.pattern.name_of(&met).is_some());
                assert_eq!(first, Some(index), "{}: {met} is taken by an earlier pattern", vendor.name);
            }
        }
    }

    #[test]
    fn the_pack_knows_what_calls_do_and_what_they_cost() {
        let pack = VendorPack::embedded();
        assert_eq!(pack.category("transfer.sh"), Some(VendorCategory::FileDrop));
        assert_eq!(pack.verb("github", "GET /repos/acme/site/zipball/main"), Some(Verb::BulkExport));
        assert_eq!(pack.verb("stripe", "GET /v1/charges/{id}"), Some(Verb::Read));
        assert_eq!(pack.verb("stripe", "GET /v1/never_heard"), None);
        let deprecated = |vendor: &str, endpoint: &str, version: &str| {
            pack.vendor(vendor).unwrap().deprecation(endpoint, version).is_some()
        };
        assert!(
            deprecated("openai", "POST /v1/threads/{id}/runs", "v1")
                && !deprecated("openai", "POST /v1/responses", "v1")
        );
        assert!(deprecated("meta", "GET /v12.0/me", "v12.0") && !deprecated("meta", "GET /v23.0/me", "v23.0"));
        let (endpoint, _) = pack.vendor("openai").unwrap().endpoint("POST /v1/chat/completions").unwrap();
        assert!(endpoint.price.cost(1_000, 1_000) > 0);
    }

    fn with_file(text: &str) -> Result<VendorPack, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("own.toml"), text).unwrap();
        VendorPack::with_directory(directory.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_of_the_user_overrides_a_vendor_and_takes_over_domains() {
        let own = "name = \"stripe\"\ncategory = \"other\"\ndomains = [\"stripe.example\", \"adyen.com\"]\n";
        let pack = with_file(own).unwrap();
        assert_eq!(pack.category("stripe"), Some(VendorCategory::Other));
        let stripe = pack.index_of_domain("stripe.example");
        assert!(stripe.is_some() && pack.index_of_domain("adyen.com") == stripe);
        assert_eq!(pack.index_of_domain("stripe.com"), None);
        assert_eq!(pack.category("github"), Some(VendorCategory::Code));
    }

    #[test]
    fn a_diagnostic_names_file_line_and_field() {
        let head = "name = \"acme\"\ncategory = \"other\"\ndomains = [\"acme.example\"]\n";
        for (text, diagnostic) in [
            (format!("{head}pricing = 1\n"), "own.toml:4: pricing: unknown field"),
            (head.replace("other", "bank"), "own.toml:2: category: unknown variant"),
            (head.replace("acme.example", "https://acme.example"), "own.toml:3: domains: write a domain"),
            (head.replace("\"acme\"", "\"Acme Inc\""), "own.toml:1: name: write a name"),
            (head.replace("\"]", "\", \"acme.example\"]"), "own.toml:3: domains: another vendor has claimed"),
            (
                format!("{head}endpoints = [\n  {{ pattern = \"GET v1\", verb = \"read\" }},\n]\n"),
                "own.toml:5: endpoints.pattern: the path does not begin with /",
            ),
            (
                format!("{head}endpoints = [\n  {{ pattern = \"GET /v1\", verb = \"peek\" }},\n]\n"),
                "own.toml:5: verb: unknown variant",
            ),
            (
                format!("{head}endpoints = [\n  {{ pattern = \"GET /\", verb = \"read\", per_call = -1.0 }},\n]\n"),
                "own.toml:5: endpoints.per_call: write dollars",
            ),
            (
                format!("{head}deprecated = [\n  {{ versions_below = \"new\", instead = \"v2\" }},\n]\n"),
                "own.toml:5: deprecated.versions_below: write a version",
            ),
            (format!("{head}deprecated = [\n  {{ instead = \"v2\" }},\n]\n"), "own.toml:5: deprecated: names nothing"),
        ] {
            let error = with_file(&text).unwrap_err();
            assert!(error.contains(diagnostic), "expected {diagnostic}\nfound    {error}");
        }
    }
}
