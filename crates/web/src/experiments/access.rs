//! Who may do what.
//!
//! Evaluating needs a client key or the token; recording through `/v1` needs the token. Without
//! keys, or without a token, programs of the same machine may, when the address is of the loopback.
//! Pages may call from the origins that are allowed.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use experiment::live::params::ServiceParams;

use crate::guard::{equal, is_ip_or_localhost};

/// Status and words of a refusal.
pub(super) type Denied = (StatusCode, &'static str);

/// The rules of one address.
#[derive(Debug)]
pub(super) struct Access {
    token: Option<String>,
    client_keys: Vec<String>,
    origins: Vec<String>,
    loopback: bool,
}

impl Access {
    pub(super) fn new(params: &ServiceParams, listens_at: IpAddr) -> Access {
        Access {
            token: params.token.clone(),
            client_keys: params.client_keys.clone(),
            origins: params.origins.clone(),
            loopback: listens_at.to_canonical().is_loopback(),
        }
    }

    /// Lets pages of an origin pass: the value that allows them to read the answer, none for pages
    /// of this address.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) fn origin(
        &self,
        origin: &HeaderValue,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, &'static str> {
        let text = origin.to_str().unwrap_or_default();
        let listed = |each: &String| each == "*" || each.eq_ignore_ascii_case(text);
        if self.origins.iter().any(listed) {
            return Ok(Some(origin.clone()));
        }
        let authority = text.split_once("://").map_or("", |(_, authority)| authority);
        let host = text_of(headers, header::HOST);
        if !host.is_empty() && authority.eq_ignore_ascii_case(host) {
            return Ok(None);
        }
        Err("pages of this origin may not call: list it in `origins` of `[experiments]`")
    }

    /// Lets a client evaluate. `key` is what it sent in the path or the query.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) fn read(&self, headers: &HeaderMap, key: Option<&str>) -> Result<(), Denied> {
        if self.has_token(headers) {
            return Ok(());
        }
        if self.client_keys.is_empty() {
            return self.is_local(headers).then_some(()).ok_or((
                StatusCode::UNAUTHORIZED,
                "set `client-keys` in `[experiments]`, and send one",
            ));
        }
        let mut sent = key.into_iter().chain(credentials(headers).filter(|_| key.is_none()));
        // Every key is compared, so that the time does not tell which one is near.
        let is_known = |sent: &str| {
            let all = self.client_keys.iter();
            all.fold(false, |found, key| equal(key.as_bytes(), sent.as_bytes()) | found)
        };
        let Some(first) = sent.next() else {
            return Err((
                StatusCode::UNAUTHORIZED,
                "send a client key as `Authorization: Bearer KEY` or `X-API-Key: KEY`",
            ));
        };
        let known = is_known(first) || sent.any(is_known);
        known.then_some(()).ok_or((StatusCode::UNAUTHORIZED, "there is no such client key"))
    }

    /// Lets a client record and sign.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) fn write(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if self.has_token(headers) {
            return Ok(());
        }
        if self.token.is_some() {
            return Err((
                StatusCode::UNAUTHORIZED,
                "send the token as `Authorization: Bearer TOKEN` or `X-API-Key: TOKEN`; client \
                 keys only read",
            ));
        }
        // A page that some browser of this machine has open is no program of this machine.
        if self.is_local(headers) && !is_page(headers) {
            return Ok(());
        }
        Err((
            StatusCode::FORBIDDEN,
            "set `token` in `[experiments]`: without one, only programs of the same machine may, \
             at an address of the loopback",
        ))
    }

    /// Whether the token was sent: operators and servers.
    pub(super) fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return false };
        credentials(headers).any(|sent| equal(token.as_bytes(), sent.as_bytes()))
    }

    /// A name may be made to point here by a page's own DNS server (DNS rebinding), so the host
    /// must be named by its address or `localhost`.
    fn is_local(&self, headers: &HeaderMap) -> bool {
        self.loopback && is_ip_or_localhost(text_of(headers, header::HOST))
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What was sent as `X-API-Key` and as `Authorization: Bearer`: a proxy may add one to the other.
fn credentials(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let own = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    let bearer = text_of(headers, header::AUTHORIZATION).split_once(' ');
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    own.into_iter().chain(bearer.map(|(_, token)| token.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn access(token: Option<&str>, keys: &[&str], listens_at: Ipv4Addr) -> Access {
        let address = (listens_at, 0).into();
        let mut params = ServiceParams::new(address, "data".into());
        params.token = token.map(str::to_owned);
        params.client_keys = keys.iter().map(|&key| key.to_owned()).collect();
        params.origins = vec!["https://shop.example".to_owned()];
        Access::new(&params, listens_at.into())
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            (header::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        fields.collect()
    }

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:8082");
    const TOKEN: (&str, &str) = ("authorization", "Bearer t0ken");
    const KEY: (&str, &str) = ("x-api-key", "k");

    #[test]
    fn who_may_record() {
        let allowed = |access: &Access, fields| access.write(&headers(fields)).is_ok();
        let open = access(None, &[], Ipv4Addr::LOCALHOST);
        assert!(allowed(&open, &[LOCAL]));
        for fields in [
            &[("host", "rebound.example")][..],
            &[LOCAL, ("origin", "https://shop.example")],
            &[LOCAL, ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!allowed(&open, fields), "{fields:?}");
        }
        assert!(!allowed(&access(None, &["k"], Ipv4Addr::UNSPECIFIED), &[LOCAL, KEY]));
        let closed = access(Some("t0ken"), &["k"], Ipv4Addr::UNSPECIFIED);
        assert!(allowed(&closed, &[("host", "api.example"), TOKEN]));
        assert!(allowed(&closed, &[("x-api-key", "t0ken")]));
        assert!(allowed(&closed, &[KEY, TOKEN]) && closed.has_token(&headers(&[KEY, TOKEN])));
        for fields in [&[LOCAL][..], &[KEY], &[("authorization", "Bearer wrong")]] {
            assert!(!allowed(&closed, fields), "{fields:?}");
        }
    }

    #[test]
    fn who_may_evaluate() {
        let closed = access(Some("t0ken"), &["k", "k2"], Ipv4Addr::LOCALHOST);
        let allowed = |fields, key| closed.read(&headers(fields), key).is_ok();
        assert!(allowed(&[KEY], None) && allowed(&[TOKEN], None) && allowed(&[], Some("k2")));
        assert!(!allowed(&[LOCAL], None) && !allowed(&[LOCAL], Some("other")));
        assert!(!allowed(&[("authorization", "Basic k")], None));
        assert!(allowed(&[("x-api-key", "a proxy's"), ("authorization", "Bearer k2")], None));
        let open = access(None, &[], Ipv4Addr::LOCALHOST);
        assert!(open.read(&headers(&[LOCAL]), Some("whatever")).is_ok());
        assert!(access(None, &[], Ipv4Addr::UNSPECIFIED).read(&headers(&[LOCAL]), None).is_err());
    }

    #[test]
    fn whose_pages_may_call() {
        let access = access(None, &[], Ipv4Addr::LOCALHOST);
        let origin = |origin| access.origin(&HeaderValue::from_static(origin), &headers(&[LOCAL]));
        assert!(origin("https://shop.example").unwrap().is_some());
        assert_eq!(origin("http://127.0.0.1:8082"), Ok(None));
        assert!(origin("https://evil.example").is_err());
        assert!(origin("null").is_err());
    }
}
