//! Fields of one connection, not of the message: RFC 9110 section 7.6.1.

use traffic::{Fields, Name};

use crate::HeadError;
use crate::syntax::is_token_text;

/// Most fields that `Connection` may nominate.
pub const NOMINATIONS_MAX: usize = 32;

/// Removes the fields that concern one connection: `Connection`, `Keep-Alive`,
/// `Proxy-Connection`, `TE`, `Transfer-Encoding`, `Upgrade`, `HTTP2-Settings`,
/// `Proxy-Authenticate`, `Proxy-Authorization` and those that `Connection` nominates.
/// What is still of use is asked for before: [`accepts_trailers`], [`upgrade_of`].
///
/// The two `Proxy-` fields are between a client and its next proxy (RFC 9110 sections 11.7.1 and
/// 11.7.2). That is not what a gateway is, and a server behind it must not see such credentials
/// or ask for them. `Trailer` stays: it speaks of the message.
///
/// # Errors
/// When `Connection` nominates a field for all recipients, which RFC 9110 section 7.6.1 forbids
/// and which would let a peer remove what the other side relies on (`Host`, `Cookie`,
/// `Cache-Control`, `X-Forwarded-For`…): every other field with a [`Name`], and `X-Forwarded-*`.
/// Also when an option is no token, or there are more than [`NOMINATIONS_MAX`]. What has a name
/// in the list above is removed nevertheless, nothing else.
pub fn strip_hop_by_hop(fields: &mut Fields) -> Result<(), HeadError> {
    let nominated = nominations(fields);
    let others = nominated.as_deref().unwrap_or(&[]);
    fields.retain(|field| {
        !is_hop_by_hop(field.known)
            && !others.iter().any(|name| name.eq_ignore_ascii_case(field.name))
    });
    nominated.map(drop)
}

/// The names that `Connection` nominates and that are not always removed.
fn nominations(fields: &Fields) -> Result<Vec<Vec<u8>>, HeadError> {
    let mut nominated = Vec::new();
    for (before, option) in fields.members(Name::Connection).enumerate() {
        if before >= NOMINATIONS_MAX || !is_token_text(option) {
            return Err(HeadError::Nomination);
        }
        match Name::of(option) {
            Name::Other if option.eq_ignore_ascii_case(b"close") => {}
            Name::Other if is_x_forwarded(option) => return Err(HeadError::Nomination),
            Name::Other => nominated.push(option.to_vec()),
            name if is_hop_by_hop(name) => {}
            _ => return Err(HeadError::Nomination),
        }
    }
    Ok(nominated)
}

fn is_hop_by_hop(name: Name) -> bool {
    matches!(
        name,
        Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::Te
            | Name::TransferEncoding
            | Name::Upgrade
            | Name::Http2Settings
            | Name::ProxyAuthenticate
            | Name::ProxyAuthorization
    )
}

/// Whether a field says where a request comes from: `Forwarded`, `X-Real-IP` and `X-Forwarded-*`.
/// A `_` counts as a `-`, since servers that turn names into variables (RFC 3875 section 4.1.18)
/// do not tell them apart.
pub fn is_forwarding(name: &[u8]) -> bool {
    is_x_forwarded(name) || same_variable(name, b"x-real-ip") || same_variable(name, b"forwarded")
}

/// Whether the name begins with `X-Forwarded-`, or is taken for one that does.
pub fn is_x_forwarded(name: &[u8]) -> bool {
    let prefix = b"x-forwarded-";
    name.get(..prefix.len()).is_some_and(|start| same_variable(start, prefix))
}

/// Whether a name is another one (in lower case) to servers that take `_` for `-`.
fn same_variable(name: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().map(plain).eq(other.iter().copied())
}

/// Whether the peer takes trailer fields (RFC 9110 section 10.1.4).
pub fn accepts_trailers(fields: &Fields) -> bool {
    fields.members(Name::Te).any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

/// The protocol that the peer wants to change to: the value of `Upgrade`, if it is there once and
/// `Connection` nominates it (RFC 9110 section 7.8). None when other versions of HTTP, or TLS, are
/// among its choices: requests in such a tunnel would go past every rule, and a recipient may
/// always leave an `Upgrade` aside.
pub fn upgrade_of(fields: &Fields) -> Option<&[u8]> {
    let mut values = fields.all(Name::Upgrade);
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let nominated =
        fields.members(Name::Connection).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    let hides_requests = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|choice| {
        let name = choice.split(|byte| *byte == b'/').next().unwrap_or_default();
        [&b"http"[..], b"h2", b"h2c", b"tls"].iter().any(|known| known.eq_ignore_ascii_case(name))
    });
    (nominated && !value.is_empty() && !hides_requests).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_connection_are_removed() {
        let mut fields: Fields = [
            ("Host", "a"),
            ("Connection", "close, X-A"),
            ("connection", "Upgrade,, x-b , TE"),
            ("Upgrade", "websocket"),
            ("TE", "trailers"),
            ("X-A", "1"),
            ("X-B", "2"),
            ("X-C", "3"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "Basic x"),
            ("Transfer-Encoding", "chunked"),
            ("HTTP2-Settings", "x"),
            ("Trailer", "X-T"),
        ]
        .into_iter()
        .collect();
        assert!(accepts_trailers(&fields));
        assert_eq!(upgrade_of(&fields), Some(&b"websocket"[..]));
        strip_hop_by_hop(&mut fields).unwrap();
        let left: Vec<&[u8]> = fields.iter().map(|field| field.name).collect();
        assert_eq!(left, [&b"Host"[..], b"X-C", b"Trailer"]);
        assert!(!accepts_trailers(&fields) && upgrade_of(&fields).is_none());
    }

    #[test]
    fn fields_for_all_recipients_are_not_nominated() {
        for name in [
            "Host",
            "content-length",
            "Cookie",
            "Authorization",
            "X-Forwarded-For",
            "x-forwarded-port",
            "Forwarded",
            "Via",
            "Cache-Control",
            "X-Real-IP",
            "Set-Cookie",
            "Vary",
            "a b",
            "\"x\"",
        ] {
            let mut fields: Fields = [("Connection", name), ("Host", "a")].into_iter().collect();
            assert_eq!(strip_hop_by_hop(&mut fields), Err(HeadError::Nomination), "{name}");
            assert!(!fields.has(Name::Connection) && fields.has(Name::Host), "{name}");
        }
        let nominate = |count| {
            let mut fields: Fields =
                [("Connection", "x,".repeat(count).as_str())].into_iter().collect();
            strip_hop_by_hop(&mut fields)
        };
        assert_eq!(nominate(NOMINATIONS_MAX), Ok(()));
        assert_eq!(nominate(NOMINATIONS_MAX + 1), Err(HeadError::Nomination));
    }

    #[test]
    fn fields_that_say_where_a_request_comes_from_are_known() {
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "x_forwarded_host",
            "X-Forwarded_Proto",
            "X_Real-IP",
            "X-Forwarded-",
        ] {
            assert!(is_forwarding(name.as_bytes()), "{name}");
        }
        for name in ["", "X-Forwarded", "Forwarded-For", "X-Real-IPs", "XForwardedFor"] {
            assert!(!is_forwarding(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn an_upgrade_must_be_nominated_and_single() {
        let upgrade = |fields: &[(&'static str, &'static str)]| {
            let fields: Fields = fields.iter().copied().collect();
            upgrade_of(&fields).map(<[u8]>::to_vec)
        };
        assert_eq!(upgrade(&[("Upgrade", "a"), ("Connection", "x, UPGRADE")]), Some(b"a".to_vec()));
        assert_eq!(upgrade(&[("Upgrade", "a")]), None);
        assert_eq!(upgrade(&[("Upgrade", ""), ("Connection", "upgrade")]), None);
        assert_eq!(upgrade(&[("Connection", "upgrade")]), None);
        let twice = [("Upgrade", "a"), ("Upgrade", "b"), ("Connection", "upgrade")];
        assert_eq!(upgrade(&twice), None);
        for http in ["h2c", "H2C", "h2", "HTTP/2.0", "websocket, h2c", "TLS/1.0"] {
            assert_eq!(upgrade(&[("Upgrade", http), ("Connection", "upgrade")]), None, "{http}");
        }
        assert!(upgrade(&[("Upgrade", "h2cx"), ("Connection", "upgrade")]).is_some());
    }
}
