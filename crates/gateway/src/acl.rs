//! Which addresses may use a route.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::params::Access;

/// Whether this client may use the route: not denied and, when there is a list of allowed
/// addresses, on it.
pub(crate) fn allowed(access: &Access, client: IpAddr) -> bool {
    let client = client.to_canonical();
    let listed = |nets: &[IpNet]| nets.iter().any(|net| contains(net, client));
    !listed(&access.deny) && (access.allow.is_empty() || listed(&access.allow))
}

/// Whether a net holds a canonical address. A net of IPv4-mapped IPv6 addresses (RFC 4291 section
/// 2.5.5.2) means the IPv4 addresses; wider nets of IPv6, such as `::/0`, hold no IPv4 address.
pub(crate) fn contains(net: &IpNet, client: IpAddr) -> bool {
    match (net, client) {
        (IpNet::V6(net), IpAddr::V4(client)) if net.prefix_len() >= 96 => {
            net.contains(&client.to_ipv6_mapped())
        }
        _ => net.contains(&client),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(text: &[&str]) -> Vec<IpNet> {
        text.iter().map(|net| net.parse().unwrap()).collect()
    }

    #[test]
    fn deny_comes_first_and_an_empty_allow_list_allows_all() {
        let cases: &[(&[&str], &[&str], &str, bool)] = &[
            (&[], &[], "203.0.113.9", true),
            (&["203.0.113.0/24"], &[], "203.0.113.9", false),
            (&["203.0.113.0/24"], &["203.0.113.9/32"], "203.0.113.9", false),
            (&[], &["10.0.0.0/8", "fd00::/8"], "10.1.2.3", true),
            (&[], &["10.0.0.0/8", "fd00::/8"], "fd00::1", true),
            (&[], &["10.0.0.0/8", "fd00::/8"], "11.0.0.1", false),
            (&[], &["10.0.0.0/8", "fd00::/8"], "2001:db8::1", false),
        ];
        for (deny, allow, client, expected) in cases {
            let access = Access { deny: nets(deny), allow: nets(allow), basic: None };
            let client = client.parse().unwrap();
            assert_eq!(allowed(&access, client), *expected, "{client} {deny:?} {allow:?}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4_addresses_on_both_sides() {
        let cases = [
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.1.2.3", false),
            ("::/0", "10.1.2.3", false),
            ("::/0", "::ffff:10.1.2.3", false),
            ("0.0.0.0/0", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "2001:db8::1", false),
        ];
        for (net, client, expected) in cases {
            let (net, client): (IpNet, IpAddr) = (net.parse().unwrap(), client.parse().unwrap());
            assert_eq!(contains(&net, client.to_canonical()), expected, "{net} {client}");
        }
    }
}
