//! What tells kept answers apart.

use percent_encoding::percent_decode_str;
use policy::cache::resolve;
use traffic::Fields;

use crate::params::{CacheKey, QueryKey};

/// A request, as far as the cache looks at it.
#[derive(Debug, Clone, Copy)]
pub struct CacheRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Lower-case host, without port.
    pub host: &'a str,
    /// The port the client named, or the scheme's.
    pub port: u16,
    /// The normalised path.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The fields, as the client sent them.
    pub fields: &'a Fields,
    /// Whether it has a body.
    pub body: bool,
}

impl CacheRequest<'_> {
    /// Path and query.
    pub(super) fn target(&self) -> String {
        match self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_owned(),
        }
    }

    /// Path and query that a reference in the response means, if on this origin.
    pub(super) fn resolve(&self, reference: &[u8]) -> Option<String> {
        let reference = std::str::from_utf8(reference).ok()?;
        resolve(reference, self.scheme, self.host, self.port, &self.target())
    }
}

/// The primary key: every part with its length before it, so that no two requests that differ in
/// a part share one. GET and HEAD share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) bytes: Vec<u8>,
    /// Where the parts of the URL end.
    url_end: usize,
}

impl Key {
    pub(super) fn of(request: &CacheRequest<'_>, rules: &CacheKey) -> Key {
        let mut bytes = url_bytes(
            request.scheme,
            request.host,
            request.port,
            request.path,
            request.query,
            &rules.query,
        );
        let url_end = bytes.len();
        for name in &rules.headers {
            for value in request.fields.all_named(name) {
                bytes.push(b'h');
                part(&mut bytes, value);
            }
            bytes.push(b'.');
        }
        for name in &rules.cookies {
            for value in wire::cookie::cookies(request.fields, name) {
                bytes.push(b'c');
                part(&mut bytes, value);
            }
            bytes.push(b'.');
        }
        Key { bytes, url_end }
    }

    /// Whether nothing but the URL counts.
    pub(super) fn is_url(&self) -> bool {
        self.url_end == self.bytes.len()
    }

    /// The part that stands for the URL, whatever headers and cookies count besides.
    pub(super) fn url(&self) -> &[u8] {
        &self.bytes[..self.url_end]
    }
}

/// The part of a key that stands for a URL.
pub(super) fn url_bytes(
    scheme: &str,
    host: &str,
    port: u16,
    path: &str,
    query: Option<&str>,
    rule: &QueryKey,
) -> Vec<u8> {
    let query = query.and_then(|query| counted(query, rule));
    let length = scheme.len() + host.len() + path.len() + query.as_ref().map_or(0, String::len);
    let mut bytes = Vec::with_capacity(length + 32);
    part(&mut bytes, scheme.as_bytes());
    part(&mut bytes, host.as_bytes());
    bytes.extend_from_slice(&port.to_le_bytes());
    part(&mut bytes, path.as_bytes());
    bytes.push(u8::from(query.is_some()));
    part(&mut bytes, query.unwrap_or_default().as_bytes());
    bytes
}

fn part(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text);
}

/// The parameters of a query that count, in their order; `None` when there are none.
pub(super) fn counted(query: &str, rule: &QueryKey) -> Option<String> {
    // Some servers part parameters at `;` too: then one that counts could hide in another.
    if matches!(rule, QueryKey::All) || (query.contains(';') && *rule != QueryKey::None) {
        return Some(query.to_owned());
    }
    let counts = |parameter: &&str| {
        let raw = parameter.split('=').next().unwrap_or_default();
        let plain = raw.replace('+', " ");
        let name = percent_decode_str(&plain).decode_utf8_lossy();
        match rule {
            QueryKey::All => true,
            QueryKey::None => false,
            // Generously: servers differ in case, and `id[]` is `id` to some.
            QueryKey::Only(names) => {
                let name = name.split('[').next().unwrap_or_default();
                names.iter().any(|only| only.eq_ignore_ascii_case(name))
            }
            QueryKey::Except(names) => !names.iter().any(|except| match except.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => **except == *name,
            }),
        }
    };
    let kept: Vec<&str> = query.split('&').filter(counts).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn key(path: &str, query: Option<&str>, fields: &Fields, rules: &CacheKey) -> Vec<u8> {
        let request = CacheRequest {
            method: "GET",
            scheme: "http",
            host: "a.test",
            port: 80,
            path,
            query,
            fields,
            body: false,
        };
        Key::of(&request, rules).bytes
    }

    #[test]
    fn only_what_counts_makes_a_difference() {
        let only = QueryKey::Only(vec!["id".into()]);
        let except = QueryKey::Except(vec!["utm_*".into(), "ref".into()]);
        for (rule, query, expected) in [
            (&QueryKey::All, "b=1&a=2", Some("b=1&a=2")),
            (&QueryKey::None, "b=1;a=2", None),
            (&only, "x=1&id=2&y", Some("id=2")),
            (&only, "x=1&%69d=2&ID=3&id[]=4", Some("%69d=2&ID=3&id[]=4")),
            (&only, "x=1;id=2", Some("x=1;id=2")),
            (&only, "x=1", None),
            (&except, "utm_source=a&id=1&ref=b&refs=c", Some("id=1&refs=c")),
            (&except, "utm%5Fsource=a", None),
        ] {
            assert_eq!(counted(query, rule).as_deref(), expected, "{rule:?} {query}");
        }
    }

    #[test]
    fn listed_headers_and_cookies_count() {
        let rules = CacheKey {
            query: QueryKey::All,
            headers: vec!["x-a".into(), "x-b".into()],
            cookies: vec!["c".into()],
        };
        let mut seen = HashMap::new();
        for lines in [
            &[][..],
            &[("X-A", "1")],
            &[("X-B", "1")],
            &[("X-A", "")],
            &[("X-A", "1"), ("X-A", "2")],
            &[("X-A", "1,2")],
            &[("Cookie", "c=1")],
            &[("Cookie", "c=")],
            // Servers differ in which of them they take.
            &[("Cookie", "c=1; c=2")],
            &[("Cookie", "c=1"), ("Cookie", "c=3")],
        ] {
            let fields: Fields = lines.iter().copied().collect();
            let clash = seen.insert(key("/", None, &fields, &rules), lines);
            assert_eq!(clash, None, "{lines:?}");
        }
        let other: Fields = [("Other", "1"), ("Cookie", "d=1")].into_iter().collect();
        assert!(seen.contains_key(&key("/", None, &other, &rules)));
    }

    proptest! {
        #[test]
        fn no_two_requests_collide(
            a in ("[/a?&=]{0,6}", prop::option::of("[/a?&=]{0,6}")),
            b in ("[/a?&=]{0,6}", prop::option::of("[/a?&=]{0,6}")),
        ) {
            let none = Fields::new();
            let of = |(path, query): &(String, Option<String>)| {
                key(path, query.as_deref(), &none, &CacheKey::default())
            };
            prop_assert_eq!(of(&a) == of(&b), a == b);
        }
    }
}
