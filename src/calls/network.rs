//! Where a call came from: the network of its address, /24 or /48.
//!
//! Single addresses change with every container; the network is what stays, and what a stolen key leaves.
//!
//! Not here: who owns a network (`owner`), or whether it was seen before.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cidr::Cidr;
use super::owner::Owners;

/// The network of calls that AWS makes itself, for a customer: logged by a service's name in the place of an address.
const AWS_ITSELF: &str = "amazonaws";

/// The network of an address as logged: `10.20.3.0/24`, `2001:db8:1::/48`; [`AWS_ITSELF`]; empty for what is none.
pub(super) fn network_of(text: &str) -> String {
    match parse_address(text) {
        Some(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        Some(IpAddr::V6(address)) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
        None if is_aws_itself(text.trim()) => AWS_ITSELF.to_owned(),
        None => String::new(),
    }
}

/// The network of an address as logged, called by its owner where one is known of a public address.
pub(super) fn named_network_of(text: &str, owners: &Owners) -> String {
    let network = network_of(text);
    let public = parse_address(text).filter(|_| !is_private(&network));
    public.and_then(|address| owners.label(address, &network)).unwrap_or(network)
}

fn is_aws_itself(text: &str) -> bool {
    text.eq_ignore_ascii_case("AWS Internal") || text.ends_with(".amazonaws.com")
}

/// An address as logged: perhaps with a port, brackets, a zone, or an IPv4 address within IPv6.
pub(super) fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(inner) => inner.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    let bare = bare.split('%').next()?;
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Of a chain of addresses as proxies write it (`X-Forwarded-For`), the one that the call came from: the right-most public one that is
/// no trusted proxy; where none is public, the right-most that is no trusted proxy. What stands further left, anybody may have written.
pub(super) fn origin<'a>(chain: &'a str, trusted: &[Cidr]) -> Option<&'a str> {
    if !chain.contains(',') {
        return Some(chain.trim()).filter(|text| !text.is_empty());
    }
    let is_trusted =
        |text: &str| parse_address(text).is_some_and(|address| trusted.iter().any(|range| range.contains(address)));
    let addresses =
        || chain.rsplit(',').map(str::trim).filter(|text| parse_address(text).is_some() && !is_trusted(text));
    addresses().find(|text| !is_private(&network_of(text))).or_else(|| addresses().next())
}

/// Whether a network (`10.20.3.0/24`) is one that the internet does not route: private, shared, link-local or loopback.
pub fn is_private(network: &str) -> bool {
    let Some(address) = network.split('/').next().and_then(|text| text.parse::<IpAddr>().ok()) else { return false };
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        // The /48 of the loopback address is `::/48`.
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_chain_the_rightmost_public_address_that_is_no_trusted_proxy_is_where_a_call_came_from() {
        let trusted = ["203.0.113.0/24", "10.0.0.0/8"].map(|range| Cidr::parse(range).unwrap());
        for (chain, expected) in [
            ("198.51.100.77, 10.20.1.1", Some("198.51.100.77")),
            ("192.0.2.1, 198.51.100.77, 203.0.113.9", Some("198.51.100.77")),
            ("192.168.1.5, 10.20.1.1", Some("192.168.1.5")),
            ("unknown, 198.51.100.77:443", Some("198.51.100.77:443")),
            ("unknown, _hidden", None),
            ("198.51.100.77", Some("198.51.100.77")),
            ("", None),
        ] {
            assert_eq!(origin(chain, &trusted), expected, "{chain}");
        }
    }

    #[test]
    fn an_address_has_one_network_however_it_is_logged() {
        for logged in ["10.20.3.180", "10.20.3.9:443", "[10.20.3.1]:80", "::ffff:10.20.3.7", "[::ffff:10.20.3.7]:1"] {
            assert_eq!(network_of(logged), "10.20.3.0/24", "{logged}");
        }
        for logged in ["2001:db8:1:2::5", "[2001:db8:1::5]:443", "2001:DB8:1::5%eth0"] {
            assert_eq!(network_of(logged), "2001:db8:1::/48", "{logged}");
        }
    }

    #[test]
    fn a_service_name_is_no_address() {
        for (logged, network) in
            [("health.amazonaws.com", "amazonaws"), ("AWS Internal", "amazonaws"), ("unknown", ""), ("", "")]
        {
            assert_eq!(network_of(logged), network);
        }
    }

    #[test]
    fn private_networks_are_told_from_public_ones() {
        for network in
            ["10.1.2.0/24", "172.31.0.0/24", "100.64.1.0/24", "127.0.0.0/24", "fd00:1::/48", "fe80::/48", "::/48"]
        {
            assert!(is_private(network), "{network}");
        }
        for network in ["172.32.0.0/24", "3.225.16.0/24", "2001:db8:1::/48", "amazonaws", ""] {
            assert!(!is_private(network), "{network}");
        }
    }
}
