//! The PROXY protocol, versions 1 and 2, for TCP: haproxy's doc/proxy-protocol.txt.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use memchr::memmem;
use thiserror::Error;

/// Longest version 1 header, its CRLF included (section 2.1).
pub const V1_BYTES_MAX: usize = 107;
/// Longest version 2 header that is taken, addresses and TLVs included.
pub const V2_BYTES_MAX: usize = 4 * 1024;

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of two socket paths.
const V2_UNIX_BYTES: usize = 216;
const V1_SIGNATURE: &[u8; 6] = b"PROXY ";

/// Where a connection came from and where it went, as told by the proxy before us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The proxy does not say: its own health check (LOCAL), UNKNOWN, or a socket that is not IP.
    /// The addresses of the connection itself hold.
    Unspecified,
    /// The addresses of the connection that the proxy accepted.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
}

/// Why a connection does not begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum ProxyError {
    /// Neither signature is there.
    #[error("no PROXY protocol header")]
    Missing,
    /// Longer than [`V1_BYTES_MAX`] or [`V2_BYTES_MAX`].
    #[error("PROXY protocol header too long")]
    TooLong,
    /// A version, command, family or transport that is unknown or not for TCP.
    #[error("unsupported PROXY protocol header")]
    Unsupported,
    /// Malformed addresses or ports, or fewer bytes than the family needs.
    #[error("malformed PROXY protocol header")]
    Malformed,
}

/// Reads a header from the beginning of `buf`: it and its length in bytes; `None` when more bytes
/// are needed.
///
/// # Errors
/// When this is not, and will not become, such a header.
pub fn parse(buf: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    if let Some(rest) = buf.strip_prefix(V2_SIGNATURE) {
        parse_v2(rest)
    } else if let Some(rest) = buf.strip_prefix(V1_SIGNATURE) {
        parse_v1(rest)
    } else if V2_SIGNATURE.starts_with(buf) || V1_SIGNATURE.starts_with(buf) {
        Ok(None)
    } else {
        Err(ProxyError::Missing)
    }
}

fn parse_v1(rest: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let room = V1_BYTES_MAX - V1_SIGNATURE.len();
    let Some(end) = memmem::find(&rest[..rest.len().min(room)], b"\r\n") else {
        return if rest.len() >= room { Err(ProxyError::TooLong) } else { Ok(None) };
    };
    let line = str::from_utf8(&rest[..end]).map_err(|_| ProxyError::Malformed)?;
    let mut words = line.split(' ');
    let mut word = || words.next();
    let header = match [word(), word(), word(), word(), word(), word()] {
        // What follows UNKNOWN is to be ignored.
        [Some("UNKNOWN"), ..] => Some(ProxyHeader::Unspecified),
        [Some("TCP4"), Some(from), Some(to), Some(from_port), Some(to_port), None] => {
            v1_addresses::<Ipv4Addr>([from, to], [from_port, to_port])
        }
        [Some("TCP6"), Some(from), Some(to), Some(from_port), Some(to_port), None] => {
            v1_addresses::<Ipv6Addr>([from, to], [from_port, to_port])
        }
        [Some("TCP4" | "TCP6"), ..] => None,
        _ => return Err(ProxyError::Unsupported),
    };
    let header = header.ok_or(ProxyError::Malformed)?;
    Ok(Some((header, V1_SIGNATURE.len() + end + 2)))
}

fn v1_addresses<A: FromStr + Into<IpAddr>>(
    [from, to]: [&str; 2],
    [from_port, to_port]: [&str; 2],
) -> Option<ProxyHeader> {
    let (from, to): (A, A) = (from.parse().ok()?, to.parse().ok()?);
    Some(ProxyHeader::Proxied {
        source: SocketAddr::new(from.into(), v1_port(from_port)?),
        destination: SocketAddr::new(to.into(), v1_port(to_port)?),
    })
}

/// A port without leading zeros.
fn v1_port(text: &str) -> Option<u16> {
    if text.len() > 1 && text.starts_with('0') {
        return None;
    }
    u16::try_from(crate::syntax::decimal(text.as_bytes(), 5)?).ok()
}

fn parse_v2(rest: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let Some((&[command, family, high, low], body)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let body_len = usize::from(u16::from_be_bytes([high, low]));
    let len = V2_SIGNATURE.len() + 4 + body_len;
    if len > V2_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    // Of LOCAL, the family does not matter.
    if !matches!((command, family), (0x20, _) | (0x21, 0x00 | 0x11 | 0x21 | 0x31)) {
        return Err(ProxyError::Unsupported);
    }
    let Some(body) = body.get(..body_len) else {
        return Ok(None);
    };
    let header = match (command, family) {
        (0x21, 0x11) => v2_addresses::<4, 12>(body).ok_or(ProxyError::Malformed)?,
        (0x21, 0x21) => v2_addresses::<16, 36>(body).ok_or(ProxyError::Malformed)?,
        (0x21, 0x31) if body.len() < V2_UNIX_BYTES => return Err(ProxyError::Malformed),
        _ => ProxyHeader::Unspecified,
    };
    Ok(Some((header, len)))
}

/// Two addresses of `N` bytes and two ports: `TOTAL` bytes. TLVs may follow.
fn v2_addresses<const N: usize, const TOTAL: usize>(body: &[u8]) -> Option<ProxyHeader>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = body.get(..TOTAL)?.split_first_chunk::<N>()?;
    let (destination, ports) = rest.split_first_chunk::<N>()?;
    let (source_port, destination_port) = ports.split_first_chunk::<2>()?;
    let destination_port = destination_port.first_chunk::<2>()?;
    Some(ProxyHeader::Proxied {
        source: SocketAddr::new((*source).into(), u16::from_be_bytes(*source_port)),
        destination: SocketAddr::new((*destination).into(), u16::from_be_bytes(*destination_port)),
    })
}

/// Both addresses in one family: IPv6 if one of them is.
fn same_family(source: SocketAddr, destination: SocketAddr) -> (IpAddr, IpAddr) {
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        IpAddr::V6(_) => ip,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        (source.ip(), destination.ip())
    } else {
        (mapped(source.ip()), mapped(destination.ip()))
    }
}

/// Appends a version 1 header.
pub fn write_v1(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) {
    let (from, to) = same_family(source, destination);
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    // Writing into memory does not fail.
    let _ = write!(out, "PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port());
}

/// Appends a version 2 header without TLVs.
pub fn write_v2(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) {
    out.extend_from_slice(V2_SIGNATURE);
    match same_family(source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            for ip in [from, to] {
                let octets = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                out.extend_from_slice(&octets);
            }
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(source: &str, destination: &str) -> ProxyHeader {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        ProxyHeader::Proxied { source, destination }
    }

    fn v2(rest: &[u8]) -> Vec<u8> {
        [V2_SIGNATURE, rest].concat()
    }

    #[test]
    fn version_1() {
        let four = proxied("255.255.255.255:65535", "192.0.2.1:0");
        let six = proxied("[2001:db8::1]:1", "[::1]:443");
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_BYTES_MAX - 16));
        let table = [
            ("PROXY TCP4 255.255.255.255 192.0.2.1 65535 0\r\n", Ok(four)),
            ("PROXY TCP6 2001:db8::1 ::1 1 443\r\n", Ok(six)),
            ("PROXY UNKNOWN\r\n", Ok(ProxyHeader::Unspecified)),
            (longest.as_str(), Ok(ProxyHeader::Unspecified)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 065\r\n", Err(ProxyError::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", Err(ProxyError::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n", Err(ProxyError::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", Err(ProxyError::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", Err(ProxyError::Malformed)),
            ("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", Err(ProxyError::Malformed)),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Err(ProxyError::Malformed)),
            ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", Err(ProxyError::Malformed)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n", Err(ProxyError::Malformed)),
            ("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", Err(ProxyError::Unsupported)),
            ("PROXY \r\n", Err(ProxyError::Unsupported)),
            ("proxy UNKNOWN\r\n", Err(ProxyError::Missing)),
            ("GET / HTTP/1.1\r\n", Err(ProxyError::Missing)),
            ("\r\nPROXY", Err(ProxyError::Missing)),
        ];
        for (text, expected) in table {
            let expected = expected.map(|header| Some((header, text.len())));
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
        let long = longest.replace("ff", "fff");
        assert_eq!(parse(long.as_bytes()), Err(ProxyError::TooLong));
        assert_eq!(
            parse(&[b"PROXY ", &[b'a'; V1_BYTES_MAX][..]].concat()),
            Err(ProxyError::TooLong)
        );
    }

    #[test]
    fn version_2() {
        let four = b"\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb";
        let header = proxied("192.0.2.1:56324", "198.51.100.2:443");
        assert_eq!(parse(&v2(four)), Ok(Some((header, 28))));
        let mut with_tlv = v2(four);
        with_tlv[15] = 17;
        with_tlv.extend_from_slice(b"\x04\0\x02abGET");
        assert_eq!(parse(&with_tlv), Ok(Some((header, 33))));
        with_tlv[12] = 0x20;
        assert_eq!(parse(&with_tlv), Ok(Some((ProxyHeader::Unspecified, 33))));
        let table: &[(&[u8], Result<usize, ProxyError>)] = &[
            (b"\x20\0\0\0", Ok(16)),
            (b"\x20\xff\0\0", Ok(16)),
            (b"\x21\0\0\x01x", Ok(17)),
            (b"\x22\x11\0\0", Err(ProxyError::Unsupported)),
            (b"\x11\x11\0\0", Err(ProxyError::Unsupported)),
            (b"\x21\x12\0\0", Err(ProxyError::Unsupported)),
            (b"\x21\x41\0\0", Err(ProxyError::Unsupported)),
            (b"\x21\x11\0\x0b12345678901", Err(ProxyError::Malformed)),
            (b"\x21\x21\0\x0c123456789012", Err(ProxyError::Malformed)),
            (b"\x21\x31\0\x01x", Err(ProxyError::Malformed)),
            (b"\x21\x11\xff\xff", Err(ProxyError::TooLong)),
        ];
        for (rest, expected) in table {
            let expected = expected.map(|len| Some((ProxyHeader::Unspecified, len)));
            assert_eq!(parse(&v2(rest)), expected, "{rest:?}");
        }
    }
}
