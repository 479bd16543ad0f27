//! Shortened addresses.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of a client without what tells a person apart: of IPv4 the last octet is 0, of IPv6 the
/// last 80 bits. What is no address, such as a host name, stays as it is.
#[must_use]
pub fn anonymise(client: &[u8]) -> Cow<'_, [u8]> {
    match address(client) {
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            Cow::Owned(Ipv4Addr::new(a, b, c, 0).to_string().into_bytes())
        }
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, ..] = ip.segments();
            Cow::Owned(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string().into_bytes())
        }
        None => Cow::Borrowed(client),
    }
}

/// A client's address, brackets, port and all that maps IPv4 to IPv6 aside.
pub(crate) fn address(client: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(client).ok()?;
    let text = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    text.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names() {
        for (client, expected) in [
            ("192.0.2.77", "192.0.2.0"),
            ("192.0.2.77:4711", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("[2001:db8:1:2::1]:443", "2001:db8:1::"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("host.example", "host.example"),
            ("", ""),
        ] {
            assert_eq!(anonymise(client.as_bytes()).as_ref(), expected.as_bytes());
        }
    }
}
