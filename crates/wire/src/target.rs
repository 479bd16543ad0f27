//! Request targets: RFC 9112 section 3.2 and RFC 3986.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::HeadError;
use crate::syntax::{decimal, hex, is_target};

/// Longest host name (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// The parts of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Host and port of the absolute form.
    pub authority: Option<&'a str>,
    /// The path as it was sent, beginning with `/`; `*` of the asterisk form.
    pub path: &'a str,
    /// What follows the first `?`.
    pub query: Option<&'a str>,
    /// Whether the target is `*`.
    pub asterisk: bool,
}

/// Takes a target apart: origin-form, absolute-form of `http` or `https`, or `*`.
///
/// # Errors
/// On any other form and on characters that are not visible ASCII, or `#`.
pub fn split_target(target: &str) -> Result<Target<'_>, HeadError> {
    if !is_target(target.as_bytes()) {
        return Err(HeadError::Target);
    }
    if target == "*" {
        return Ok(Target { authority: None, path: target, query: None, asterisk: true });
    }
    if target.starts_with('/') {
        let (path, query) = split_query(target);
        return Ok(Target { authority: None, path, query, asterisk: false });
    }
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::Target)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(HeadError::Target);
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    host_of(authority).map_err(|_| HeadError::Target)?;
    let (path, query) = split_query(rest);
    let path = if path.is_empty() { "/" } else { path };
    Ok(Target { authority: Some(authority), path, query, asterisk: false })
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

/// Host and port of an authority or a `Host` value. The host is a name or an IPv4 address of
/// letters, digits, `-`, `_` and `.`, or an IPv6 address in brackets (and is given with them).
///
/// # Errors
/// On anything else: user information, percent-encodings, empty labels, zones, empty ports.
pub fn host_of(authority: &str) -> Result<(&str, Option<u16>), HeadError> {
    let bracket = if authority.starts_with('[') { authority.find(']') } else { None };
    let colon = authority[bracket.unwrap_or(0)..].find(':').map(|at| at + bracket.unwrap_or(0));
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let port = match port.strip_prefix(':') {
        None => None,
        Some(digits) => Some(
            decimal(digits.as_bytes(), 5)
                .and_then(|port| u16::try_from(port).ok())
                .ok_or(HeadError::HostInvalid)?,
        ),
    };
    let good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    if good { Ok((host, port)) } else { Err(HeadError::HostInvalid) }
}

/// Whether these are labels with dots between them; a last dot may stand.
fn is_name(host: &str) -> bool {
    let mut previous = b'.';
    for byte in host.bytes() {
        match byte {
            b'.' if previous == b'.' => return false,
            b'.' | b'-' | b'_' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            _ => return false,
        }
        previous = byte;
    }
    !host.is_empty() && host.len() <= HOST_BYTES_MAX
}

/// Writes the one form of a path, as it is matched, used as a key and sent on, into `out`
/// (RFC 3986 section 6.2.2): unreserved characters decoded, other encodings in upper case, dot
/// segments resolved, runs of `/` merged. `%2F` stays as it is and separates nothing.
///
/// # Errors
/// [`HeadError::PathCharacter`] on malformed encodings, `%00`, characters that no target holds,
/// `?`, and `\` or `%5C`, which some servers take for `/`.
/// [`HeadError::PathOutside`] when `..` leads above the root, and when a dot segment hides behind
/// `;` or `%2F` (`/a/..;/b`, `/a/..%2Fb`), where servers disagree about what it means.
pub fn normalise_path(path: &str, out: &mut String) -> Result<(), HeadError> {
    out.clear();
    if is_normal(path) {
        out.push_str(path);
        return Ok(());
    }
    let mut segments = path.strip_prefix('/').ok_or(HeadError::Target)?.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let before = out.len();
        out.push('/');
        decode_segment(segment, out)?;
        match &out[before + 1..] {
            "" if last => {}
            "" => out.truncate(before),
            "." => {
                out.truncate(before);
                if last {
                    out.push('/');
                }
            }
            ".." => {
                let parent = out[..before].rfind('/').ok_or(HeadError::PathOutside)?;
                out.truncate(parent);
                if last {
                    out.push('/');
                }
            }
            segment if hides_dots(segment) => return Err(HeadError::PathOutside),
            _ => {}
        }
    }
    Ok(())
}

/// Whether nothing needs to be looked at: no encoding, no empty segment, none that begins with a
/// dot, no character that is refused, and no `;`.
fn is_normal(path: &str) -> bool {
    let (bad, _) = path.bytes().fold((false, b' '), |(bad, previous), byte| {
        let refused = byte <= b' ' || byte >= 0x7f || matches!(byte, b'%' | b'\\' | b'?' | b'#');
        let dots = previous == b'/' && (byte == b'/' || byte == b'.');
        (bad | refused | dots | (byte == b';'), byte)
    });
    path.starts_with('/') && !bad
}

fn decode_segment(segment: &str, out: &mut String) -> Result<(), HeadError> {
    let mut rest = segment.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'%' => {
                let [high, low, after @ ..] = rest else {
                    return Err(HeadError::PathCharacter);
                };
                rest = after;
                let (Some(value_high), Some(value_low)) = (hex(*high), hex(*low)) else {
                    return Err(HeadError::PathCharacter);
                };
                match value_high << 4 | value_low {
                    0 | b'\\' => return Err(HeadError::PathCharacter),
                    value if is_unreserved(value) => out.push(value as char),
                    _ => {
                        out.push('%');
                        out.push(high.to_ascii_uppercase() as char);
                        out.push(low.to_ascii_uppercase() as char);
                    }
                }
            }
            b'\\' | b'?' | b'#' => return Err(HeadError::PathCharacter),
            b'!'..=b'~' => out.push(*byte as char),
            _ => return Err(HeadError::PathCharacter),
        }
    }
    Ok(())
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a normalised segment would hold a dot segment for a server that takes `;`, `%3B` or
/// `%2F` for an end.
fn hides_dots(segment: &str) -> bool {
    segment
        .split(';')
        .flat_map(|part| part.split("%2F"))
        .flat_map(|part| part.split("%3B"))
        .any(|part| part == "." || part == "..")
}

/// The first parameter of this name in a query, decoded as forms are: `+` is a space, what is not
/// UTF-8 is replaced, a malformed encoding stands as it is.
pub fn query_parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(key) == name).then(|| decode_form(value))
    })
}

fn decode_form(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let encoded = match (byte, after) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|pair| (pair, after)),
            _ => None,
        };
        match (byte, encoded) {
            (_, Some(((high, low), after))) => {
                decoded.push(high << 4 | low);
                rest = after;
            }
            (b'+', None) => decoded.push(b' '),
            (_, None) => decoded.push(*byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> Result<String, HeadError> {
        let mut out = String::from("before");
        normalise_path(path, &mut out).map(|()| out)
    }

    #[test]
    fn paths_have_one_form() {
        let table = [
            ("/", "/"),
            ("/a/b.c~d_e-f/", "/a/b.c~d_e-f/"),
            ("/%7euser/%41%2d%2E%5f", "/~user/A-._"),
            ("/%c3%a4%3f%2f%3B", "/%C3%A4%3F%2F%3B"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/a//b///c//", "/a/b/c/"),
            ("//", "/"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/../", "/a/"),
            ("/a/b/%2E%2e/c/.%2e/d", "/a/d"),
            ("/a//../b", "/b"),
            ("/...", "/..."),
            ("/.well-known/..a/a../.b;c", "/.well-known/..a/a../.b;c"),
            ("/a;x=1/b%2Fc", "/a;x=1/b%2Fc"),
            // RFC 3986 section 5.2.4
            ("/a/b/c/./../../g", "/a/g"),
        ];
        for (path, expected) in table {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn paths_that_are_refused() {
        for path in
            ["/..", "/../", "/a/../..", "/%2e%2e/a", "/./../a", "//..", "/a/..;/b", "/.;x/a"]
        {
            assert_eq!(normal(path), Err(HeadError::PathOutside), "{path}");
        }
        for path in ["/..%2fa", "/a%2F..%2Fb", "/a/%2e%2e%2fb", "/..%3bx/a", "/a%2f%2e"] {
            assert_eq!(normal(path), Err(HeadError::PathOutside), "{path}");
        }
        for path in
            ["/%", "/%4", "/%4g", "/%g4", "/%+1", "/%00", "/\\", "/%5c", "/%5C..", "/a?b", "/#"]
        {
            assert_eq!(normal(path), Err(HeadError::PathCharacter), "{path}");
        }
        for path in ["/a b", "/\u{e4}", "/a\0", "/\r\n"] {
            assert_eq!(normal(path), Err(HeadError::PathCharacter), "{path}");
        }
        for path in ["", "*", "a/b", "?"] {
            assert_eq!(normal(path), Err(HeadError::Target), "{path}");
        }
    }

    #[test]
    fn targets_are_taken_apart() {
        let parts = |target| split_target(target).map(|t| (t.authority, t.path, t.query));
        assert_eq!(parts("/a?b?c"), Ok((None, "/a", Some("b?c"))));
        assert_eq!(parts("/a?"), Ok((None, "/a", Some(""))));
        assert_eq!(parts("//a/b"), Ok((None, "//a/b", None)));
        assert_eq!(parts("*"), Ok((None, "*", None)));
        assert_eq!(parts("http://[::1]:8/?a/b"), Ok((Some("[::1]:8"), "/", Some("a/b"))));
        assert_eq!(parts("https://a?b"), Ok((Some("a"), "/", Some("b"))));
        assert_eq!(parts(""), Err(HeadError::Target));
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(host_of("a.example:8080"), Ok(("a.example", Some(8080))));
        assert_eq!(host_of("a.example"), Ok(("a.example", None)));
        assert_eq!(host_of("[::1]:80"), Ok(("[::1]", Some(80))));
        assert_eq!(host_of("[::1]"), Ok(("[::1]", None)));
        let longest = "a".repeat(HOST_BYTES_MAX);
        assert_eq!(host_of(&longest), Ok((longest.as_str(), None)));
        assert_eq!(host_of(&format!("{longest}a")), Err(HeadError::HostInvalid));
    }

    #[test]
    fn query_parameters_are_found_and_decoded() {
        let query = "a=1&b=x+y%21%zz%&b=2&c&%64=%c3%a4&=e&f=%ff";
        let get = |name| query_parameter(query, name);
        assert_eq!(get("a").as_deref(), Some("1"));
        assert_eq!(get("b").as_deref(), Some("x y!%zz%"));
        assert_eq!(get("c").as_deref(), Some(""));
        assert_eq!(get("d").as_deref(), Some("\u{e4}"));
        assert_eq!(get("f").as_deref(), Some("\u{fffd}"));
        assert_eq!(get("x"), None);
    }
}
