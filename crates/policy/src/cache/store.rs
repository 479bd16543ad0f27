//! Whether and how a response is kept: RFC 9111 section 3.

use std::fmt;

use traffic::{Fields, Name};

use super::directives::{RequestDirectives, ResponseDirectives};
use super::freshness::{
    Source, clamp, heuristically_cacheable, initial_age, lifetime, whole_seconds,
};
use super::rules::Rules;
use super::vary::{Vary, vary_of};

/// What is known once the head of a response has come.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's fields.
    pub request: &'a Fields,
    /// The response's status.
    pub status: u16,
    /// The response's fields.
    pub response: &'a Fields,
    /// Whether `Content-Location` of the response is the URL of the request.
    pub located_here: bool,
    /// When the request was sent, unix seconds.
    pub requested: i64,
    /// When the response came, unix seconds.
    pub received: i64,
}

/// Why a response is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    /// The method's answers are not.
    Method,
    /// The status is not: interim, partial, or about the condition of one request.
    Status,
    /// The client forbids it.
    RequestNoStore,
    /// The origin forbids it.
    NoStore,
    /// For one user only.
    Private,
    /// To a request with `Authorization`, without permission (RFC 9111 section 3.5).
    Authorization,
    /// `must-understand`, and the status is not understood.
    NotUnderstood,
    /// `Vary: *`, or too many names.
    Vary,
    /// It sets a cookie.
    SetCookie,
    /// Says nothing about freshness, and the request had a cookie that may have shaped it.
    Cookie,
    /// Would never be of use: not fresh, and no validator.
    NoUse,
}

impl NotKept {
    /// A word for logs and `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            NotKept::Method => "method",
            NotKept::Status => "status",
            NotKept::RequestNoStore => "request-no-store",
            NotKept::NoStore => "no-store",
            NotKept::Private => "private",
            NotKept::Authorization => "authorization",
            NotKept::NotUnderstood => "not-understood",
            NotKept::Vary => "vary",
            NotKept::SetCookie => "set-cookie",
            NotKept::Cookie => "cookie",
            NotKept::NoUse => "no-use",
        }
    }
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What decides about later use of a kept response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// When it came, unix seconds.
    pub received: i64,
    /// Its age then, in seconds.
    pub initial_age: u32,
    /// Seconds of freshness, from the age zero.
    pub lifetime: u32,
    /// Ask before each use.
    pub no_cache: bool,
    /// Never used stale, whatever a client takes: `must-revalidate`, `proxy-revalidate`,
    /// `s-maxage`.
    pub no_stale: bool,
    /// Seconds of staleness during which it is used while it is fetched again.
    pub stale_while_revalidate: u32,
    /// Seconds of staleness during which it is used in place of an error.
    pub stale_if_error: u32,
}

impl Meta {
    /// Age in seconds.
    pub fn age(&self, now: i64) -> u32 {
        self.initial_age.saturating_add(clamp(now.saturating_sub(self.received)))
    }

    /// Seconds of freshness left; not above zero when stale.
    pub fn ttl(&self, now: i64) -> i64 {
        i64::from(self.lifetime) - i64::from(self.age(now))
    }

    /// Whether others who ask at this moment can be served with it without asking the origin,
    /// stale while it is fetched again perhaps.
    pub fn is_of_use(&self, now: i64) -> bool {
        !self.no_cache && (self.ttl(now) > 0 || self.stale_while_revalidate > 0)
    }

    fn of(x: &Exchange<'_>, said: &ResponseDirectives, rules: &Rules) -> (Meta, Source) {
        let (mut lifetime, source) = lifetime(x.status, x.response, said, rules, x.received);
        let initial_age = initial_age(x.response, x.requested, x.received).unwrap_or_else(|| {
            lifetime = 0;
            0
        });
        let forbidden = said.must_revalidate || said.proxy_revalidate || said.no_cache;
        let no_stale = forbidden || said.s_maxage.is_some();
        // `s-maxage` alone rules out what the site permits, not what the response itself permits.
        let window = |said: Option<u32>, rule| match said {
            _ if forbidden => 0,
            Some(seconds) => seconds,
            None if no_stale => 0,
            None => whole_seconds(rule),
        };
        let meta = Meta {
            received: x.received,
            initial_age,
            lifetime,
            no_cache: said.no_cache,
            no_stale,
            stale_while_revalidate: window(
                said.stale_while_revalidate,
                rules.stale_while_revalidate,
            ),
            stale_if_error: window(said.stale_if_error, rules.stale_if_error),
        };
        (meta, source)
    }
}

/// Decides whether a response is kept, and for what use.
///
/// # Errors
/// Why not.
pub fn store(x: &Exchange<'_>, rules: &Rules) -> Result<Meta, NotKept> {
    let said = ResponseDirectives::of(x.response);
    let (meta, source) = Meta::of(x, &said, rules);
    match x.method {
        "GET" => {}
        // RFC 9110 section 9.3.3: as the answer to a later GET.
        "POST" if x.located_here && x.status == 200 && source == Source::Explicit => {}
        _ => return Err(NotKept::Method),
    }
    if !(200..=599).contains(&x.status) || matches!(x.status, 206 | 304 | 412 | 416) {
        return Err(NotKept::Status);
    }
    if rules.obey_request && RequestDirectives::of(x.request).no_store {
        return Err(NotKept::RequestNoStore);
    }
    if said.must_understand && !understood(x.status) {
        return Err(NotKept::NotUnderstood);
    }
    if said.no_store && !said.must_understand {
        return Err(NotKept::NoStore);
    }
    if said.private {
        return Err(NotKept::Private);
    }
    let shared = said.public || said.must_revalidate || said.s_maxage.is_some();
    if x.request.has(Name::Authorization) && !shared {
        return Err(NotKept::Authorization);
    }
    if x.response.has(Name::SetCookie) && !rules.store_set_cookie {
        return Err(NotKept::SetCookie);
    }
    match vary_of(x.response, rules.vary_max) {
        Vary::Any => return Err(NotKept::Vary),
        Vary::Names(_) => {}
    }
    let permitted = source != Source::None || said.public || heuristically_cacheable(x.status);
    if !permitted && !said.no_cache {
        return Err(NotKept::NoUse);
    }
    if source != Source::Explicit && !said.public && x.request.has(Name::Cookie) {
        return Err(NotKept::Cookie);
    }
    let validator = x.response.has(Name::ETag) || x.response.has(Name::LastModified);
    let usable = !meta.no_cache
        && (meta.ttl(x.received) > 0 || meta.stale_while_revalidate > 0 || meta.stale_if_error > 0);
    if usable || validator { Ok(meta) } else { Err(NotKept::NoUse) }
}

/// Statuses whose meaning for caching is known: those of RFC 9110 that may be kept, and 429, 451.
fn understood(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=411 | 413..=415 | 417)
        || matches!(status, 421 | 422 | 426 | 429 | 451 | 500..=505)
}

/// Removes from a response what is not kept with it: fields of one connection (RFC 9111 section
/// 3.1), `Age`, which is reckoned anew, cookies, and what `no-cache="…"` and `private="…"` name.
pub fn strip_unkept(fields: &mut Fields) {
    let mut unkept = ResponseDirectives::of(fields).unkept;
    unkept.extend(fields.members(Name::Connection).map(<[u8]>::to_ascii_lowercase));
    fields.retain(|field| {
        let named = || unkept.iter().any(|name| name.eq_ignore_ascii_case(field.name));
        !(is_unkept(field.known, field.name) || named())
    });
}

/// Fields that are never kept.
pub(super) fn is_unkept(known: Name, name: &[u8]) -> bool {
    match known {
        Name::Connection
        | Name::KeepAlive
        | Name::ProxyAuthenticate
        | Name::ProxyAuthorization
        | Name::ProxyConnection
        | Name::Te
        | Name::Trailer
        | Name::TransferEncoding
        | Name::Upgrade
        | Name::Http2Settings
        | Name::SetCookie
        | Name::Age => true,
        _ => name.eq_ignore_ascii_case(b"Proxy-Authentication-Info"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn decide(
        method: &str,
        request: &[(&str, &str)],
        status: u16,
        response: &[(&str, &str)],
    ) -> Result<Meta, NotKept> {
        decide_by(&Rules::default(), method, request, status, response)
    }

    fn decide_by(
        rules: &Rules,
        method: &str,
        request: &[(&str, &str)],
        status: u16,
        response: &[(&str, &str)],
    ) -> Result<Meta, NotKept> {
        let (request, response) =
            (request.iter().copied().collect(), response.iter().copied().collect());
        let x = Exchange {
            method,
            request: &request,
            status,
            response: &response,
            located_here: response.has(Name::ContentLocation),
            requested: NOW,
            received: NOW,
        };
        store(&x, rules)
    }

    #[test]
    fn what_is_kept_and_what_is_not() {
        const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
        let cc = |value| [("Cache-Control", value)];
        for status in [200, 203, 204, 299, 301, 302, 303, 307, 400, 403, 404, 410, 499, 503, 599] {
            assert!(decide("GET", &[], status, &[FRESH]).is_ok(), "{status}");
        }
        for status in [100, 103, 199, 206, 304, 412, 416, 600, 999] {
            assert_eq!(decide("GET", &[], status, &[FRESH]), Err(NotKept::Status), "{status}");
        }
        let get = |response: &[(&str, &str)]| decide("GET", &[], 200, response);
        assert_eq!(get(&[]), Err(NotKept::NoUse));
        assert_eq!(get(&cc("max-age=0")), Err(NotKept::NoUse));
        assert!(get(&[("ETag", "\"a\"")]).is_ok());
        assert!(get(&[("ETag", "\"a\""), cc("no-cache")[0]]).is_ok_and(|meta| meta.no_cache));
        assert_eq!(get(&cc("no-cache, max-age=9")), Err(NotKept::NoUse));
        assert_eq!(get(&cc("max-age=9, no-store")), Err(NotKept::NoStore));
        assert_eq!(get(&cc("max-age=9, private")), Err(NotKept::Private));
        assert!(get(&cc("max-age=9, private=\"x\"")).is_ok());
        assert_eq!(get(&[FRESH, ("Vary", "a, *")]), Err(NotKept::Vary));
        assert_eq!(get(&[FRESH, ("Set-Cookie", "a=b")]), Err(NotKept::SetCookie));
        assert_eq!(get(&[FRESH, ("Age", "0, 0")]), Err(NotKept::NoUse));
        assert!(get(&cc("must-understand, no-store, max-age=9")).is_ok());
        let strange = decide("GET", &[], 599, &cc("must-understand, max-age=9"));
        assert_eq!(strange, Err(NotKept::NotUnderstood));
        assert_eq!(decide("GET", &[], 403, &[("ETag", "\"a\"")]), Err(NotKept::NoUse));
        for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "get"] {
            assert_eq!(decide(method, &[], 200, &[FRESH]), Err(NotKept::Method), "{method}");
        }
        assert_eq!(decide("POST", &[], 200, &[FRESH]), Err(NotKept::Method));
        assert!(decide("POST", &[], 200, &[FRESH, ("Content-Location", "/")]).is_ok());
        let no_store = decide("GET", &cc("no-store"), 200, &[FRESH]);
        assert_eq!(no_store, Err(NotKept::RequestNoStore));
        let willing = Rules { store_set_cookie: true, obey_request: false, ..Rules::default() };
        let cookie = [FRESH, ("Set-Cookie", "a=b")];
        assert!(decide_by(&willing, "GET", &cc("no-store"), 200, &cookie).is_ok());
    }

    #[test]
    fn credentials_keep_a_response_out_unless_it_says_so() {
        let authorized =
            |value| decide("GET", &[("Authorization", "x")], 200, &[("Cache-Control", value)]);
        for value in ["max-age=9", "max-age=9, proxy-revalidate", "max-age=9, must-understand"] {
            assert_eq!(authorized(value), Err(NotKept::Authorization), "{value}");
        }
        for value in ["max-age=9, public", "max-age=9, must-revalidate", "s-maxage=9"] {
            assert!(authorized(value).is_ok(), "{value}");
        }
        let cookie = |response: &[(&str, &str)]| decide("GET", &[("Cookie", "a")], 200, response);
        assert_eq!(cookie(&[("ETag", "\"a\"")]), Err(NotKept::Cookie));
        assert!(cookie(&[("Cache-Control", "max-age=9")]).is_ok());
    }

    #[test]
    fn stale_use_is_what_response_and_site_permit() {
        let rules =
            Rules { stale_if_error: std::time::Duration::from_secs(50), ..Rules::default() };
        for (value, if_error, no_stale) in [
            ("max-age=9", 50, false),
            ("max-age=9, stale-if-error=7", 7, false),
            ("s-maxage=9", 0, true),
            ("s-maxage=9, stale-if-error=7", 7, true),
            ("max-age=9, must-revalidate, stale-if-error=7", 0, true),
            ("max-age=9, proxy-revalidate", 0, true),
        ] {
            let kept = decide_by(&rules, "GET", &[], 200, &[("Cache-Control", value)]);
            let kept = kept.map(|meta| (meta.stale_if_error, meta.no_stale));
            assert_eq!(kept, Ok((if_error, no_stale)), "{value}");
        }
    }

    #[test]
    fn fields_of_a_connection_and_of_one_user_are_not_kept() {
        let mut fields: Fields = [
            ("Connection", "x-a, close"),
            ("X-A", "1"),
            ("Keep-Alive", "a"),
            ("TE", "a"),
            ("Transfer-Encoding", "chunked"),
            ("Proxy-Authentication-Info", "a"),
            ("Age", "5"),
            ("Set-Cookie", "a=b"),
            ("Cache-Control", "private=\"x-b\", no-cache=\"x-c\""),
            ("x-b", "2"),
            ("X-C", "3"),
            ("X-D", "4"),
            ("ETag", "\"e\""),
        ]
        .into_iter()
        .collect();
        strip_unkept(&mut fields);
        let names: Vec<&[u8]> = fields.iter().map(|field| field.name).collect();
        assert_eq!(names, [&b"Cache-Control"[..], b"X-D", b"ETag"]);
    }
}
