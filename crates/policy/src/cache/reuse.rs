//! Whether a kept response answers a request: RFC 9111 section 4.

use super::directives::RequestDirectives;
use super::store::Meta;

/// How a kept response may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// At once.
    Serve,
    /// At once, while it is fetched again (RFC 5861).
    ServeAndRefresh,
    /// Only after the origin confirmed it.
    Validate {
        /// Or when the origin fails: no answer, or 500, 502, 503, 504 (RFC 5861).
        if_error: bool,
    },
}

/// Decides how a kept response may answer a request whose selecting fields it matches.
///
/// * `wish`: what the request says; empty when the site does not obey requests
/// * `now`: unix seconds
/// * `outdated`: it has been declared stale (a soft purge)
pub fn reuse(meta: &Meta, wish: &RequestDirectives, now: i64, outdated: bool) -> Reuse {
    let age = meta.age(now);
    let fresh = meta.ttl(now) > 0 && !outdated;
    let staleness = age.saturating_sub(meta.lifetime);
    if meta.no_cache || wish.no_cache {
        return Reuse::Validate { if_error: false };
    }
    let young = wish.max_age.is_none_or(|most| age <= most && most > 0);
    let lasting = wish.min_fresh.is_none_or(|least| meta.ttl(now) >= i64::from(least));
    let stale_taken =
        !meta.no_stale && !outdated && wish.max_stale.is_some_and(|most| staleness <= most);
    if young && lasting && (fresh || stale_taken) {
        return Reuse::Serve;
    }
    if young && wish.min_fresh.is_none() && !fresh && within(staleness, meta.stale_while_revalidate)
    {
        return Reuse::ServeAndRefresh;
    }
    Reuse::Validate { if_error: fresh || within(staleness, meta.stale_if_error) }
}

fn within(staleness: u32, window: u32) -> bool {
    window > 0 && staleness <= window
}

/// Whether a status of the origin lets a stale response stand in for it (RFC 5861 section 4).
pub fn is_server_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const META: Meta = Meta {
        received: 1_000,
        initial_age: 10,
        lifetime: 60,
        no_cache: false,
        no_stale: false,
        stale_while_revalidate: 20,
        stale_if_error: 100,
    };
    const NO_WISH: RequestDirectives = RequestDirectives {
        no_cache: false,
        no_store: false,
        only_if_cached: false,
        max_age: None,
        min_fresh: None,
        max_stale: None,
    };

    #[test]
    fn fresh_then_refreshed_then_in_case_of_error() {
        for (now, expected) in [
            (1_000, Reuse::Serve),
            (1_049, Reuse::Serve),
            (1_050, Reuse::ServeAndRefresh),
            (1_070, Reuse::ServeAndRefresh),
            (1_071, Reuse::Validate { if_error: true }),
            (1_150, Reuse::Validate { if_error: true }),
            (1_151, Reuse::Validate { if_error: false }),
            (900, Reuse::Serve),
        ] {
            assert_eq!(reuse(&META, &NO_WISH, now, false), expected, "{now}");
        }
        assert_eq!(reuse(&META, &NO_WISH, 1_000, true), Reuse::ServeAndRefresh);
        let no_cache = Meta { no_cache: true, ..META };
        assert_eq!(reuse(&no_cache, &NO_WISH, 1_000, false), Reuse::Validate { if_error: false });
    }

    #[test]
    fn requests_narrow_and_widen() {
        let strict = Meta { no_stale: true, stale_while_revalidate: 0, stale_if_error: 0, ..META };
        let wish = |max_age, min_fresh, max_stale| RequestDirectives {
            max_age,
            min_fresh,
            max_stale,
            ..NO_WISH
        };
        let serves = |meta: &Meta, wish, now| reuse(meta, &wish, now, false) == Reuse::Serve;
        assert!(serves(&META, wish(Some(10), None, None), 1_000));
        assert!(!serves(&META, wish(Some(9), None, None), 1_000));
        assert!(!serves(&Meta { initial_age: 0, ..META }, wish(Some(0), None, None), 1_000));
        assert!(serves(&META, wish(None, Some(50), None), 1_000));
        assert!(!serves(&META, wish(None, Some(51), None), 1_000));
        assert!(serves(&META, wish(None, None, Some(50)), 1_100));
        assert!(!serves(&META, wish(None, None, Some(49)), 1_100));
        assert!(!serves(&strict, wish(None, None, Some(50)), 1_100));
        let now = RequestDirectives { no_cache: true, ..NO_WISH };
        assert_eq!(reuse(&META, &now, 1_000, false), Reuse::Validate { if_error: false });
    }

    proptest! {
        #[test]
        fn what_must_not_be_stale_is_never_served_stale(
            age in 0_u32..200, lifetime in 0_u32..200, max_stale in prop::option::of(0_u32..500),
        ) {
            let meta = Meta {
                initial_age: age, lifetime, no_stale: true,
                stale_while_revalidate: 0, stale_if_error: 0, ..META
            };
            let wish = RequestDirectives { max_stale, ..NO_WISH };
            let served = reuse(&meta, &wish, META.received, false) == Reuse::Serve;
            prop_assert_eq!(served, lifetime > age);
        }
    }
}
