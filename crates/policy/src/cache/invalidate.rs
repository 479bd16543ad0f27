//! Which URLs an unsafe request makes invalid: RFC 9111 section 4.4.

use traffic::{Fields, Name};

/// Whether a method may change what is kept: every one that is not known to be safe.
pub fn is_unsafe(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "CONNECT")
}

/// Whether a response makes the URLs of its request invalid: an unsafe method, and no error.
pub fn invalidates(method: &str, status: u16) -> bool {
    is_unsafe(method) && (200..=399).contains(&status)
}

/// Paths, with their queries, that `Location` and `Content-Location` name on the request's own
/// origin.
///
/// * `scheme`, `host` (lower case), `port`: the request's origin
/// * `target`: the request's path and query
pub fn locations(
    response: &Fields,
    scheme: &str,
    host: &str,
    port: u16,
    target: &str,
) -> impl Iterator<Item = String> {
    [Name::Location, Name::ContentLocation].into_iter().filter_map(move |name| {
        let reference = std::str::from_utf8(response.get(name)?).ok()?;
        resolve(reference, scheme, host, port, target)
    })
}

/// Path and query of a reference on the origin of the request (RFC 3986 section 5); `None` for
/// another origin.
pub fn resolve(
    reference: &str,
    scheme: &str,
    host: &str,
    port: u16,
    target: &str,
) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let after_scheme = match reference.split_once("://") {
        Some((other, rest)) if !other.contains(['/', '?']) => {
            if !other.eq_ignore_ascii_case(scheme) {
                return None;
            }
            Some(rest)
        }
        _ => reference.strip_prefix("//"),
    };
    let reference = match after_scheme {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if !same_authority(authority, scheme, host, port) {
                return None;
            }
            if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
        }
        None => reference.to_owned(),
    };
    let base = target.split('?').next().unwrap_or_default();
    if reference.is_empty() {
        return Some(target.to_owned());
    }
    if reference.starts_with('?') {
        return Some(format!("{base}{reference}"));
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference.as_str(), None),
    };
    let mut resolved = if path.starts_with('/') {
        without_dots(path)
    } else {
        let folder = base.rfind('/').map_or("/", |slash| &base[..=slash]);
        without_dots(&format!("{folder}{path}"))
    };
    if let Some(query) = query {
        resolved.push('?');
        resolved.push_str(query);
    }
    Some(resolved)
}

fn same_authority(authority: &str, scheme: &str, host: &str, port: u16) -> bool {
    let (name, own_port) = match authority.rsplit_once(':') {
        Some((name, digits)) if !digits.contains(']') => (name, digits.parse().ok()),
        _ => (authority, Some(default_port(scheme))),
    };
    own_port == Some(port) && name.trim_end_matches('.').eq_ignore_ascii_case(host)
}

/// The port of a URL that names none.
pub fn default_port(scheme: &str) -> u16 {
    if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 }
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_are_resolved_on_the_same_origin_only() {
        let here = |reference| resolve(reference, "http", "a.test", 80, "/b/c/d?q");
        for (reference, expected) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d?y"),
            ("g?y#s", "/b/c/g?y"),
            ("", "/b/c/d?q"),
            ("#s", "/b/c/d?q"),
            (".", "/b/c/"),
            ("..", "/b/"),
            ("../../../g", "/g"),
            ("//A.test/x", "/x"),
            ("HTTP://a.test:80/x/../y?z", "/y?z"),
            ("http://a.test?z", "/?z"),
            ("/x?u=http://b.test/", "/x?u=http://b.test/"),
        ] {
            assert_eq!(here(reference).as_deref(), Some(expected), "{reference}");
        }
        for other in ["https://a.test/x", "http://a.test:81/x", "//b.test/x", "http://a.test.b/x"] {
            assert_eq!(here(other), None, "{other}");
        }
        assert_eq!(resolve("http://[::1]:8080/x", "http", "[::1]", 8_080, "/"), Some("/x".into()));
    }

    #[test]
    fn unsafe_methods_that_succeed_invalidate() {
        for (method, status, expected) in [
            ("POST", 200, true),
            ("PUT", 204, true),
            ("DELETE", 303, true),
            ("M-SEARCH", 200, true),
            ("POST", 500, false),
            ("PUT", 404, false),
            ("GET", 200, false),
            ("HEAD", 200, false),
        ] {
            assert_eq!(invalidates(method, status), expected, "{method} {status}");
        }
    }

    proptest! {
        #[test]
        fn what_is_resolved_is_a_path(reference in "[a-c/.?#:]{0,20}") {
            if let Some(path) = resolve(&reference, "http", "a", 80, "/b/c") {
                prop_assert!(path.starts_with('/'));
            }
        }
    }
}
