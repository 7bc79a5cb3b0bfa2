//! The vendor: whose API a host is.
//!
//! Known vendors are found by the domains that they own, whatever stands before them. What is unknown is named by its
//! registrable domain (public suffix list); under a hosting suffix (`herokuapp.com`, `github.io`) each tenant is its own
//! party, so the tenant stays in the name.
//!
//! Not here: what a vendor is trusted with (`catalog`).

use psl::Psl;

use super::network::parse_address;

/// Domains that well-known vendors own, each with the vendor's name. Sorted: it is searched by bisection.
const KNOWN_VENDORS: &[(&str, &str)] = &[
    ("adyen.com", "adyen"),
    ("airtable.com", "airtable"),
    ("algolia.net", "algolia"),
    ("algolianet.com", "algolia"),
    ("amazonaws.com", "aws"),
    ("amazonaws.com.cn", "aws"),
    ("anthropic.com", "anthropic"),
    ("asana.com", "asana"),
    ("atlassian.com", "atlassian"),
    ("atlassian.net", "atlassian"),
    ("auth0.com", "auth0"),
    ("azure.com", "azure"),
    ("bitbucket.org", "atlassian"),
    ("box.com", "box"),
    ("braintreegateway.com", "braintree"),
    ("cloudflare.com", "cloudflare"),
    ("cohere.ai", "cohere"),
    ("cohere.com", "cohere"),
    ("databricks.com", "databricks"),
    ("datadoghq.com", "datadog"),
    ("datadoghq.eu", "datadog"),
    ("discord.com", "discord"),
    ("docusign.net", "docusign"),
    ("dropbox.com", "dropbox"),
    ("dropboxapi.com", "dropbox"),
    ("facebook.com", "meta"),
    ("force.com", "salesforce"),
    ("github.com", "github"),
    ("githubusercontent.com", "github"),
    ("gitlab.com", "gitlab"),
    ("googleapis.com", "google"),
    ("hubapi.com", "hubspot"),
    ("hubspot.com", "hubspot"),
    ("huggingface.co", "huggingface"),
    ("intercom.io", "intercom"),
    ("klaviyo.com", "klaviyo"),
    ("linear.app", "linear"),
    ("mailchimp.com", "mailchimp"),
    ("mailgun.net", "mailgun"),
    ("mega.co.nz", "mega"),
    ("mega.nz", "mega"),
    ("microsoft.com", "microsoft"),
    ("microsoftonline.com", "microsoft"),
    ("mistral.ai", "mistral"),
    ("mixpanel.com", "mixpanel"),
    ("myshopify.com", "shopify"),
    ("netsuite.com", "netsuite"),
    ("newrelic.com", "newrelic"),
    ("notion.com", "notion"),
    ("okta.com", "okta"),
    ("openai.azure.com", "azure-openai"),
    ("openai.com", "openai"),
    ("pagerduty.com", "pagerduty"),
    ("paypal.com", "paypal"),
    ("pipedrive.com", "pipedrive"),
    ("plaid.com", "plaid"),
    ("postmarkapp.com", "postmark"),
    ("quickbooks.com", "intuit"),
    ("salesforce.com", "salesforce"),
    ("segment.com", "segment"),
    ("segment.io", "segment"),
    ("sendgrid.com", "sendgrid"),
    ("sendgrid.net", "sendgrid"),
    ("sentry.io", "sentry"),
    ("service-now.com", "servicenow"),
    ("sharepoint.com", "microsoft"),
    ("shopify.com", "shopify"),
    ("slack.com", "slack"),
    ("snowflakecomputing.com", "snowflake"),
    ("squareup.com", "square"),
    ("stripe.com", "stripe"),
    ("telegram.org", "telegram"),
    ("transfer.sh", "transfer.sh"),
    ("twilio.com", "twilio"),
    ("windows.net", "azure"),
    ("workday.com", "workday"),
    ("xero.com", "xero"),
    ("zendesk.com", "zendesk"),
    ("zoom.us", "zoom"),
];
/// Domains under which a vendor gives every bucket a host of its own, and how the label after the bucket begins.
const BUCKET_HOSTS: [(&str, &str); 4] = [
    (".amazonaws.com", ".s3."),
    (".amazonaws.com", ".s3-"),
    (".amazonaws.com.cn", ".s3."),
    (".googleapis.com", ".storage."),
];

/// A host without what varies, and its vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party {
    /// Lower case, without port, user and trailing dot; a bucket's name is `{bucket}`.
    pub host: String,
    /// A known vendor's name, else the registrable domain, else the host itself.
    pub vendor: String,
}

impl Party {
    /// The party that a host as logged belongs to: any case, perhaps with scheme, user, port, brackets or a trailing dot.
    pub fn of(logged: &str) -> Self {
        let bare = bare_host(logged);
        if let Some(address) = parse_address(bare) {
            let text = address.to_string();
            return Self { host: text.clone(), vendor: text };
        }
        let name = bare.rsplit_once(':').map_or(bare, |(name, _port)| name);
        // A dash is how access logs write that there was none.
        let host = name.trim_end_matches(['.', '-']).to_ascii_lowercase();
        let vendor = vendor_of(&host);
        Self { host: without_bucket(host), vendor }
    }
}

/// Cuts scheme, path and user of what is logged as a host.
fn bare_host(logged: &str) -> &str {
    let logged = logged.trim();
    let authority = logged.split_once("://").map_or(logged, |(_scheme, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_user, host)| host)
}

fn vendor_of(host: &str) -> String {
    let known = parents(host).find_map(|parent| {
        let position = KNOWN_VENDORS.binary_search_by_key(&parent, |&(domain, _)| domain).ok()?;
        KNOWN_VENDORS.get(position).map(|&(_, vendor)| vendor)
    });
    let registrable =
        || psl::List.domain(host.as_bytes()).and_then(|domain| std::str::from_utf8(domain.as_bytes()).ok());
    known.or_else(registrable).unwrap_or(host).to_owned()
}

/// The host and the domains above it, longest first.
fn parents(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, parent)| parent))
}

/// `acme-backup.s3.eu-west-1.amazonaws.com` is `{bucket}.s3.eu-west-1.amazonaws.com`.
fn without_bucket(host: String) -> String {
    let starts = BUCKET_HOSTS.iter().filter(|(domain, _)| host.ends_with(domain));
    match starts.filter_map(|(_, label)| host.rfind(label)).max() {
        Some(end_of_bucket) => format!("{{bucket}}{}", &host[end_of_bucket..]),
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(logged: &str, host: &str, vendor: &str) {
        assert_eq!(Party::of(logged), Party { host: host.into(), vendor: vendor.into() }, "{logged}");
    }

    #[test]
    fn the_table_is_sorted_for_bisection() {
        assert!(KNOWN_VENDORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
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
