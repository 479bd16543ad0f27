//! Who may change something: whoever knows the token; without one, programs on the same machine,
//! but not web pages that a browser there has open.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, StatusCode, header};

/// The rule of one administration address.
#[derive(Debug)]
pub(crate) struct Guard {
    token: Option<String>,
    loopback: bool,
}

/// Status and words of a refusal.
pub(crate) type Denied = (StatusCode, &'static str);

impl Guard {
    /// `listens_at` is the address that is listened on.
    pub(crate) fn new(token: Option<String>, listens_at: IpAddr) -> Guard {
        Guard { token, loopback: listens_at.to_canonical().is_loopback() }
    }

    /// Lets a change pass.
    ///
    /// # Errors
    /// What the client is told.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        // Browsers say where a request comes from (Fetch Metadata; RFC 6454). Others say nothing.
        let cross_site = headers
            .get("sec-fetch-site")
            .is_some_and(|site| site != "same-origin" && site != "none");
        let other_origin = headers.get(header::ORIGIN).is_some_and(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
            host.is_empty() || !authority.eq_ignore_ascii_case(host)
        });
        if cross_site || other_origin {
            return Err((StatusCode::FORBIDDEN, "pages of other sites may not change anything"));
        }
        let Some(token) = &self.token else {
            if !self.loopback {
                let why = "set `token` in `[admin]` to allow changes at an address that is not of the loopback";
                return Err((StatusCode::FORBIDDEN, why));
            }
            // A name may be made to point here by a page's own DNS server (DNS rebinding).
            if !is_ip_or_localhost(host) {
                let why =
                    "without a token, changes must name the host by its address or `localhost`";
                return Err((StatusCode::FORBIDDEN, why));
            }
            return Ok(());
        };
        let sent = text(header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match sent {
            Some(sent) if equal(sent.as_bytes(), token.as_bytes()) => Ok(()),
            Some(_) => Err((StatusCode::UNAUTHORIZED, "the token is wrong")),
            None => {
                Err((StatusCode::UNAUTHORIZED, "send the token as `Authorization: Bearer TOKEN`"))
            }
        }
    }
}

/// Compares in a time that does not depend on the place of the first difference.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).fold(0, |differences, (a, b)| black_box(differences | (a ^ b))) == 0
}

/// Whether a `Host` is an address or `localhost`, with or without port.
pub(crate) fn is_ip_or_localhost(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_local = name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || bare.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok());
    is_local && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn status(guard: &Guard, headers: &[(&'static str, &'static str)]) -> u16 {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_static(value))
            })
            .collect();
        guard.check(&headers).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:8081");

    #[test]
    fn without_a_token_only_programs_of_the_machine() {
        let guard = Guard::new(None, Ipv4Addr::LOCALHOST.into());
        for (headers, expected) in [
            (&[LOCAL][..], 200),
            (&[("host", "localhost")], 200),
            (&[("host", "LocalHost:81")], 200),
            (&[("host", "[::1]:81")], 200),
            (&[], 403),
            (&[("host", "rebound.example")], 403),
            (&[("host", "127.0.0.1.example")], 403),
            (&[("host", "[::1]")], 200),
            (&[("host", "[::1].example")], 403),
            (&[("host", "[::1]:81.example")], 403),
            (&[LOCAL, ("origin", "http://127.0.0.1:8081")], 200),
            (&[LOCAL, ("origin", "http://127.0.0.1:8082")], 403),
            (&[LOCAL, ("origin", "https://evil.example")], 403),
            (&[LOCAL, ("origin", "null")], 403),
            (&[LOCAL, ("sec-fetch-site", "cross-site")], 403),
            (&[LOCAL, ("sec-fetch-site", "same-site")], 403),
            (&[LOCAL, ("sec-fetch-site", "same-origin")], 200),
            (&[LOCAL, ("sec-fetch-site", "none")], 200),
        ] {
            assert_eq!(status(&guard, headers), expected, "{headers:?}");
        }
        let public = Guard::new(None, Ipv4Addr::UNSPECIFIED.into());
        assert_eq!(status(&public, &[LOCAL]), 403);
    }

    #[test]
    fn with_a_token_whoever_knows_it() {
        let guard = Guard::new(Some("s3cret".to_owned()), Ipv4Addr::UNSPECIFIED.into());
        let named = ("host", "admin.example");
        for (headers, expected) in [
            (&[named, ("authorization", "Bearer s3cret")][..], 200),
            (&[named, ("authorization", "bearer s3cret")], 200),
            (&[named, ("authorization", "Bearer s3cre")], 401),
            (&[named, ("authorization", "Bearer s3creT")], 401),
            (&[named, ("authorization", "Bearer ")], 401),
            (&[named, ("authorization", "s3cret")], 401),
            (&[named, ("authorization", "Basic s3cret")], 401),
            (&[LOCAL], 401),
            (&[named, ("authorization", "Bearer s3cret"), ("origin", "http://x.example")], 403),
        ] {
            assert_eq!(status(&guard, headers), expected, "{headers:?}");
        }
    }
}
