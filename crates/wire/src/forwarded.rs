//! Who the client is when requests come through proxies: `X-Forwarded-For` and `Forwarded`
//! (RFC 7239).

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use traffic::{Fields, Name};

use crate::syntax::{is_token_text, trim_ows};

/// Longest text of an address: IPv6 with an embedded IPv4 address.
const IP_BYTES_MAX: usize = 45;

/// The client's address, when the peer of the connection is a trusted proxy: from the right, the
/// first address of the chain that is not trusted. What is malformed or hidden ends the chain:
/// the trusted address before it is the client then, as is the leftmost when all are trusted.
/// `None`, which means the peer itself, when there is nothing to believe.
///
/// A proxy that writes one of the two fields may pass on the other as its client made it up. So,
/// when both are there, they are believed only if they agree.
pub fn client(fields: &Fields, trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut walk = Walk { trusted: &trusted, client: None };
    for value in fields.all(Name::XForwardedFor) {
        value.split(|byte| *byte == b',').for_each(|node| walk.pass(node_address(node)));
    }
    let client = walk.client;
    if !fields.has(Name::Forwarded) {
        return client;
    }
    let mut walk = Walk { trusted: &trusted, client: None };
    for value in fields.all(Name::Forwarded) {
        split_unquoted(value, b',').for_each(|element| walk.pass(forwarded_for(element)));
    }
    let agreed = !fields.has(Name::XForwardedFor) || client == walk.client;
    walk.client.filter(|_| agreed)
}

/// A chain read from the left, as it is written: the last address that is not trusted wins, and
/// after what is malformed the chain begins anew.
struct Walk<'a, T> {
    trusted: &'a T,
    client: Option<IpAddr>,
}

impl<T: Fn(IpAddr) -> bool> Walk<'_, T> {
    fn pass(&mut self, hop: Option<IpAddr>) {
        match hop {
            Some(address) if self.client.is_some() && (self.trusted)(address) => {}
            hop => self.client = hop,
        }
    }
}

/// The address of a node: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`.
fn node_address(node: &[u8]) -> Option<IpAddr> {
    let node = str::from_utf8(trim_ows(node)).ok()?;
    let bracketed = || node.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || node.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = node.parse().ok().or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

/// The address of the one `for` parameter of a forwarded-element.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut address = None;
    for pair in split_unquoted(element, b';') {
        let pair = trim_ows(pair);
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        if name.eq_ignore_ascii_case(b"for") {
            if address.is_some() {
                return None;
            }
            address = Some(node_address(unquote(value)?)?);
        }
    }
    address
}

/// The text of a token or quoted string; none with an escape, which no address needs.
fn unquote(value: &[u8]) -> Option<&[u8]> {
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    };
    (!value.iter().any(|byte| matches!(byte, b'"' | b'\\'))).then_some(value)
}

/// Splits at a byte that is not inside a quoted string.
fn split_unquoted(text: &[u8], at: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        let ends = *byte == at && !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        ends
    })
}

/// Appends the address of the peer to `X-Forwarded-For`, as one field: some servers look at the
/// first only. Allocates only when there is one already.
pub fn append_x_forwarded_for(fields: &mut Fields, peer: IpAddr) {
    let mut text = [0; IP_BYTES_MAX];
    let mut rest = &mut text[..];
    // An address always fits.
    let _ = write!(rest, "{}", peer.to_canonical());
    let unused = rest.len();
    append(fields, Name::XForwardedFor, &text[..IP_BYTES_MAX - unused]);
}

/// Appends a hop to `Forwarded` (RFC 7239), as one field: who sent the request, its authority,
/// left out if empty, and `http` or `https`.
pub fn append_forwarded(fields: &mut Fields, peer: IpAddr, host: &str, proto: &str) {
    let mut hop = Vec::with_capacity(64 + host.len());
    // Writing into memory does not fail.
    let _ = match peer.to_canonical() {
        IpAddr::V4(ip) => write!(hop, "for={ip}"),
        IpAddr::V6(ip) => write!(hop, "for=\"[{ip}]\""),
    };
    if !host.is_empty() {
        hop.extend_from_slice(b";host=");
        write_word(&mut hop, host.as_bytes());
    }
    hop.extend_from_slice(b";proto=");
    write_word(&mut hop, proto.as_bytes());
    append(fields, Name::Forwarded, &hop);
}

/// Writes a token as it is, anything else as a quoted string.
fn write_word(out: &mut Vec<u8>, word: &[u8]) {
    if is_token_text(word) {
        out.extend_from_slice(word);
        return;
    }
    out.push(b'"');
    for byte in word {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Makes one field of all that have this name and one more member.
fn append(fields: &mut Fields, name: Name, member: &[u8]) {
    if !fields.has(name) {
        return fields.push_known(name, member);
    }
    let mut joined = Vec::new();
    for value in fields.all(name).filter(|value| !value.is_empty()) {
        joined.extend_from_slice(value);
        joined.extend_from_slice(b", ");
    }
    joined.extend_from_slice(member);
    fields.set(name, &joined);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses of 10.0.0.0/8 and of `fd00::/8` are trusted.
    fn trusted(ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => ip.octets()[0] == 10,
            IpAddr::V6(ip) => ip.octets()[0] == 0xfd,
        }
    }

    fn client_of(name: &str, values: &[&str]) -> String {
        let fields: Fields = values.iter().map(|value| (name, *value)).collect();
        client(&fields, trusted).map_or("-".to_owned(), |client| client.to_string())
    }

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        let table: &[(&[&str], &str)] = &[
            (&[], "-"),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, 192.0.2.2"], "192.0.2.2"),
            (&["192.0.2.1,192.0.2.2 ,\t10.0.0.2"], "192.0.2.2"),
            (&["192.0.2.1", "10.0.0.3", "10.0.0.2"], "192.0.2.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["192.0.2.1, , 10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["192.0.2.1, 010.0.0.1"], "-"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:80, [fd00::1], fd00::2"], "2001:db8::1"),
            (&["192.0.2.1, ::ffff:10.0.0.1"], "192.0.2.1"),
            (&[""], "-"),
        ];
        for (values, expected) in table {
            assert_eq!(client_of("X-Forwarded-For", values), *expected, "{values:?}");
        }
    }

    #[test]
    fn fields_that_differ_are_not_believed() {
        let both = |x_forwarded_for, forwarded| {
            let fields = [("X-Forwarded-For", x_forwarded_for), ("Forwarded", forwarded)];
            client(&fields.into_iter().collect(), trusted).map(|client| client.to_string())
        };
        let agreed = both("192.0.2.1, 10.0.0.2", "for=192.0.2.1");
        assert_eq!(agreed.as_deref(), Some("192.0.2.1"));
        assert_eq!(both("192.0.2.1", "for=192.0.2.2"), None);
        assert_eq!(both("192.0.2.1", "for=unknown"), None);
        assert_eq!(both("", "for=192.0.2.1"), None);
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let table: &[(&str, &str)] = &[
            // the RFC's examples
            ("for=192.0.2.43, for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("for=192.0.2.43, for=unknown", "-"),
            ("for=\"_gazonk\"", "-"),
            // separators inside quotes
            ("for=192.0.2.1;host=\"a,b;for=192.0.2.2\"", "192.0.2.1"),
            ("for=192.0.2.1;host=\"a\\\",for=192.0.2.2\"", "192.0.2.1"),
            ("for=192.0.2.1;host=\"a, for=192.0.2.2", "192.0.2.1"),
            // doubt ends the chain
            ("for=192.0.2.1, for=10.0.0.2;for=192.0.2.2", "-"),
            ("for=192.0.2.1, by=10.0.0.2", "-"),
            ("for=192.0.2.1, for", "-"),
            ("for=\"192.0.2.1", "-"),
        ];
        for (value, expected) in table {
            assert_eq!(client_of("Forwarded", &[value]), *expected, "{value}");
        }
    }

    #[test]
    fn hops_that_are_appended_are_read() {
        let mut fields: Fields =
            [("X-Forwarded-For", "192.0.2.1"), ("x-forwarded-for", "10.0.0.2")]
                .into_iter()
                .collect();
        append_x_forwarded_for(&mut fields, "::ffff:10.0.0.3".parse().unwrap());
        let values: Vec<&[u8]> = fields.all(Name::XForwardedFor).collect();
        assert_eq!(values, [&b"192.0.2.1, 10.0.0.2, 10.0.0.3"[..]]);
        let longest = "1111:2222:3333:4444:5555:6666:7777:8888";
        let mut fields = Fields::new();
        append_x_forwarded_for(&mut fields, longest.parse().unwrap());
        assert_eq!(fields.get(Name::XForwardedFor), Some(longest.as_bytes()));

        let mut fields = Fields::new();
        let hops = [
            ("192.0.2.1", ""),
            ("10.0.0.2", "a.example"),
            ("fd00::1", "a.example:80"),
            ("fd00::2", "\"\\"),
        ];
        for (peer, host) in hops {
            append_forwarded(&mut fields, peer.parse().unwrap(), host, "https");
        }
        let expected = r#"for=192.0.2.1;proto=https, for=10.0.0.2;host=a.example;proto=https, for="[fd00::1]";host="a.example:80";proto=https, for="[fd00::2]";host="\"\\";proto=https"#;
        assert_eq!(fields.get(Name::Forwarded), Some(expected.as_bytes()));
        assert_eq!(client(&fields, trusted), Some("192.0.2.1".parse().unwrap()));
    }
}
