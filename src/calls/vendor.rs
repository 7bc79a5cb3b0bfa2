//! The vendor: whose API a host is.
//!
//! Known vendors are found by the domains that they own, whatever stands before them. What is unknown is named by its
//! registrable domain (public suffix list); under a hosting suffix (`herokuapp.com`, `github.io`) each tenant is its own
//! party, so the tenant stays in the name.
//!
//! Not here: which vendors are known, and what of them (`vendor_pack`); what a vendor is trusted with (`catalog`).

use psl::Psl;

use super::network::parse_address;
use super::vendor_pack::VendorPack;

/// Domains under which a vendor gives every bucket a host of its own, and how the label after the bucket begins.
const BUCKET_HOSTS: [(&str, &str); 4] = [
    (".amazonaws.com", ".s3."),
    (".amazonaws.com", ".s3-"),
    (".amazonaws.com.cn", ".s3."),
    (".googleapis.com", ".storage."),
];

/// Whose API a host is: a known vendor's name, else the registrable domain.
pub fn vendor_of(host: &str, vendors: &VendorPack) -> String {
    Party::of(host, vendors).vendor
}

/// A host without what varies, and its vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party {
    /// Lower case, without port, user and trailing dot; a bucket's name is `{bucket}`.
    pub host: String,
    /// A known vendor's name, else the registrable domain, else the host itself.
    pub vendor: String,
    /// Place of a known vendor in the pack.
    pub place: Option<usize>,
}

impl Party {
    /// The party that a host as logged belongs to: any case, perhaps with scheme, user, port, brackets or a trailing dot.
    pub fn of(logged: &str, vendors: &VendorPack) -> Self {
        let bare = bare_host(logged);
        if let Some(address) = parse_address(bare) {
            let text = address.to_string();
            return Self { host: text.clone(), vendor: text, place: None };
        }
        let name = bare.rsplit_once(':').map_or(bare, |(name, _port)| name);
        // A dash is how access logs write that there was none.
        let host = ascii(name.trim_end_matches(['.', '-']));
        let place = parents(&host).find_map(|domain| vendors.index_of_domain(domain));
        let known = place.and_then(|place| vendors.vendors().get(place));
        let vendor = known.map_or_else(|| registrable(&host), |known| known.name.as_str()).to_owned();
        Self { host: without_bucket(host), vendor, place }
    }
}

/// A host in lower case, an internationalised one as it goes over the wire (UTS 46): one host, however it is written.
fn ascii(name: &str) -> String {
    if name.is_ascii() && !name.contains('%') {
        return name.to_ascii_lowercase();
    }
    let decoded = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    idna::domain_to_ascii(&decoded).unwrap_or_else(|_| decoded.to_lowercase())
}

/// Cuts scheme, path and user of what is logged as a host.
fn bare_host(logged: &str) -> &str {
    let logged = logged.trim();
    let authority = logged.split_once("://").map_or(logged, |(_scheme, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_user, host)| host)
}

/// The registrable domain of a host, else the host itself.
fn registrable(host: &str) -> &str {
    let domain = psl::List.domain(host.as_bytes());
    domain.and_then(|domain| std::str::from_utf8(domain.as_bytes()).ok()).unwrap_or(host)
}

/// The host and the domains above it, longest first.
fn parents(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, parent)| parent))
}

/// What stands for the name of a bucket.
const BUCKET: &str = "{bucket}";

/// `acme-backup.s3.eu-west-1.amazonaws.com` is `{bucket}.s3.eu-west-1.amazonaws.com`.
fn without_bucket(host: String) -> String {
    match end_of_bucket(&host) {
        Some(end) => format!("{BUCKET}{}", &host[end..]),
        None => host,
    }
}

fn end_of_bucket(host: &str) -> Option<usize> {
    let starts = BUCKET_HOSTS.iter().filter(|(domain, _)| host.ends_with(domain));
    starts.filter_map(|(_, label)| host.rfind(label)).max()
}

/// Whether a host stands for all buckets of a vendor. A log may hold any text: that it begins as such a host does is not enough.
pub fn is_of_buckets(host: &str) -> bool {
    host.starts_with(BUCKET) && end_of_bucket(host) == Some(BUCKET.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(logged: &str, host: &str, vendor: &str) {
        let party = Party::of(logged, &VendorPack::embedded());
        assert_eq!((party.host.as_str(), party.vendor.as_str()), (host, vendor), "{logged}");
    }

    #[test]
    fn known_vendors_are_found_by_the_domains_that_they_own() {
        for (host, vendor) in [
            ("acme.openai.azure.com", "azure-openai"),
            ("management.azure.com", "azure"),
            ("acme.blob.core.windows.net", "azure"),
            ("dsn.algolianet.com", "algolia"),
            ("content.dropboxapi.com", "dropbox"),
            ("acme-my.sharepoint.com", "microsoft"),
            ("graph.facebook.com", "meta"),
            ("sandbox.quickbooks.com", "intuit"),
            ("transfer.sh", "transfer.sh"),
            ("store1.gofile.io", "gofile.io"),
        ] {
            check(host, host, vendor);
        }
    }

    #[test]
    fn a_host_is_the_same_however_it_is_logged() {
        for logged in
            ["api.stripe.com", "API.Stripe.com:443", "api.stripe.com.", "https://user:pass@api.stripe.com:443/v1?x=1"]
        {
            check(logged, "api.stripe.com", "stripe");
        }
    }

    #[test]
    fn an_internationalised_host_is_one_vendor_in_whatever_script_it_is_written() {
        for logged in [
            "api.bücherei.example",
            "API.BÜCHEREI.example:443",
            "api.xn--bcherei-n2a.example",
            "api.b%C3%BCcherei.example",
        ] {
            check(logged, "api.xn--bcherei-n2a.example", "xn--bcherei-n2a.example");
        }
    }

    #[test]
    fn tenants_of_one_vendor_are_that_vendor_and_tenants_of_a_hoster_are_not() {
        check("acme.myshopify.com", "acme.myshopify.com", "shopify");
        check("acme.my.salesforce.com", "acme.my.salesforce.com", "salesforce");
        check("a.herokuapp.com", "a.herokuapp.com", "a.herokuapp.com");
        check("docs.foo.github.io", "docs.foo.github.io", "foo.github.io");
        check("api.example.co.uk", "api.example.co.uk", "example.co.uk");
        check("api.stripe.com.evil.example", "api.stripe.com.evil.example", "evil.example");
    }

    #[test]
    fn buckets_do_not_multiply_hosts() {
        check("acme-prod-backup.s3.eu-west-1.amazonaws.com", "{bucket}.s3.eu-west-1.amazonaws.com", "aws");
        check("a.b.s3-eu-west-1.amazonaws.com", "{bucket}.s3-eu-west-1.amazonaws.com", "aws");
        check("s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com", "aws");
        check("b.storage.googleapis.com", "{bucket}.storage.googleapis.com", "google");
    }

    #[test]
    fn an_address_is_its_own_vendor() {
        check("203.0.113.9:8443", "203.0.113.9", "203.0.113.9");
        check("[2001:DB8::1]:443", "2001:db8::1", "2001:db8::1");
        check("localhost:80", "localhost", "localhost");
        check(":", "", "");
    }
}
