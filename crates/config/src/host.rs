//! Where requests go: hosts, request targets and connect-to addresses.

use std::path::PathBuf;
use std::str::FromStr;

use load::params::ConnectTo;
use load::scenario::Origin;

use crate::errors::Code;

/// Why a text is not what it should be, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub String);

/// A platform under test: its origin, and what is put before every path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Empty, or a path that begins with `/` and does not end with one.
    pub base_path: String,
}

impl FromStr for Host {
    type Err = ValueError;

    /// Reads `https://shop.example`, `http://[::1]:8080/api`, or `localhost:8080`, which means
    /// http.
    fn from_str(text: &str) -> Result<Host, ValueError> {
        let (origin, path) = split_url(text)?;
        if path.contains(['?', '#']) {
            return Err(ValueError(format!("host `{text}` must not have a query or a fragment")));
        }
        check_path(path).map_err(|problem| ValueError(format!("host `{text}`: {problem}")))?;
        Ok(Host { origin, base_path: path.trim_end_matches('/').to_owned() })
    }
}

/// Splits an http or https URL into its origin and the text from its path on, which may hold
/// placeholders. Without a scheme it is http.
///
/// # Errors
/// [`ValueError`] when there is no valid host, another scheme, or a user name in it.
pub(crate) fn split_url(text: &str) -> Result<(Origin, &str), ValueError> {
    let fail = |problem: &str| ValueError(format!("`{text}` {problem}"));
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains("{{") {
        return Err(fail("has a placeholder in its host; only path and query may have any"));
    }
    if authority.contains('@') {
        return Err(fail("holds a user name; use `auth` for credentials"));
    }
    let url = url::Url::parse(&format!("{scheme}://{authority}"))
        .map_err(|error| fail(&format!("is not a URL: {error}")))?;
    let origin = Origin::of_url(&url).ok_or_else(|| fail("is not an http or https URL"))?;
    if origin.port == 0 {
        return Err(fail("has port 0"));
    }
    Ok((origin, path))
}

/// A piece of a text with placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Literal(&'a str),
    /// With its braces; at this byte offset.
    Placeholder(usize, &'a str),
}

/// Cuts a text at its placeholders. One that is never closed goes to the end.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = &text[offset..];
        let start = offset;
        let piece = match rest.find("{{") {
            _ if rest.is_empty() => return None,
            Some(0) => {
                let end = rest.find("}}").map_or(rest.len(), |close| close + 2);
                Piece::Placeholder(start, &rest[..end])
            }
            Some(open) => Piece::Literal(&rest[..open]),
            None => Piece::Literal(rest),
        };
        offset += match piece {
            Piece::Literal(text) | Piece::Placeholder(_, text) => text.len(),
        };
        Some(piece)
    })
}

/// Whether the fixed parts of a path and query can be sent as they are written (RFC 3986 §3.3).
///
/// # Errors
/// What is wrong, and how to write it.
pub(crate) fn check_path(text: &str) -> Result<(), String> {
    for piece in pieces(text) {
        let Piece::Literal(literal) = piece else { continue };
        if literal.contains('#') {
            return Err("a fragment (`#`) is never sent; write `%23` for the character".to_owned());
        }
        if let Some(bad) =
            literal.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(*c))
        {
            let mut bytes = [0; 4];
            let encoded: String =
                bad.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect();
            return Err(format!("{bad:?} must be percent-encoded: write `{encoded}`"));
        }
    }
    Ok(())
}

/// A checked request target: its origin when it is a whole URL, and its path and query.
///
/// # Errors
/// The code and what is wrong.
pub(crate) fn check_target(text: &str) -> Result<(Option<Origin>, &str), (Code, String)> {
    let (origin, path) = if text.contains("://") && !text.starts_with(['/', '{']) {
        let (origin, path) = split_url(text).map_err(|error| (Code::BadHost, error.0))?;
        (Some(origin), path)
    } else {
        (None, text)
    };
    let begins_well = path.starts_with('/') || path.starts_with("{{") || path == "*";
    if origin.is_none() && !begins_well {
        let message =
            format!("path `{text}` does not begin with `/`; write `/{text}` or a whole URL");
        return Err((Code::BadPath, message));
    }
    check_path(path).map_err(|problem| (Code::BadPath, format!("path `{text}`: {problem}")))?;
    Ok((origin, path))
}

/// Reads `host:port`, `[::1]:8080` or `unix:/path`.
///
/// # Errors
/// [`ValueError`] when it is neither.
pub fn parse_connect_to(text: &str) -> Result<ConnectTo, ValueError> {
    let fail = || ValueError(format!("`{text}` is neither `host:port` nor `unix:/path`"));
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() {
            Err(fail())
        } else {
            Ok(ConnectTo::Unix(PathBuf::from(path)))
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(fail)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(fail)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // An IPv6 address needs its brackets, or its last group would be taken for the port.
    if bare.is_empty() || (bare.contains(':') && bare == host) {
        return Err(fail());
    }
    Ok(ConnectTo::Address(bare.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_urls_or_names() {
        let host = |text: &str| {
            let host: Host = text.parse().unwrap();
            (host.origin.tls, host.origin.host, host.origin.port, host.base_path)
        };
        let of = |tls, host: &str, port, base: &str| (tls, host.to_owned(), port, base.to_owned());
        assert_eq!(host("https://our.platform.com"), of(true, "our.platform.com", 443, ""));
        assert_eq!(host("localhost:8080"), of(false, "localhost", 8080, ""));
        assert_eq!(host("http://[::1]:81/api/"), of(false, "::1", 81, "/api"));
        for bad in [
            "",
            "ftp://a",
            "http://",
            "http://a?x=1",
            "http://u:p@a",
            "http://{{a}}/",
            "http://a:0",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_are_cut_at_placeholders() {
        let cut: Vec<Piece<'_>> = pieces("/a/{{x y}}{{z}}?b={{").collect();
        let expected = [
            Piece::Literal("/a/"),
            Piece::Placeholder(3, "{{x y}}"),
            Piece::Placeholder(10, "{{z}}"),
            Piece::Literal("?b="),
            Piece::Placeholder(18, "{{"),
        ];
        assert_eq!(cut, expected);
    }

    #[test]
    fn connect_to_is_an_address_or_a_socket() {
        let address = |host: &str, port| Ok(ConnectTo::Address(host.to_owned(), port));
        assert_eq!(parse_connect_to("10.0.0.1:80"), address("10.0.0.1", 80));
        assert_eq!(parse_connect_to("[::1]:8080"), address("::1", 8080));
        assert_eq!(parse_connect_to("unix:/run/a.sock"), Ok(ConnectTo::Unix("/run/a.sock".into())));
        for bad in ["", "host", "host:", "host:0", ":80", "::1:80", "unix:"] {
            assert!(parse_connect_to(bad).is_err(), "{bad}");
        }
    }
}
