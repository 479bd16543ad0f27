//! What must hold for any directives and any exchange; shared by the tests and the fuzz targets.

use policy::cache::{
    Exchange, LISTED_MAX, RequestDirectives, ResponseDirectives, Reuse, Rules, SECONDS_MAX,
    Variant, Wanted, client_has_it, conditions, if_range_holds, locations, reuse, store,
    strip_unkept, update, wanted,
};
use traffic::{Fields, Name};

const NOW: i64 = 1_700_000_000;

/// Reads `data` as the value of a field of directives.
///
/// # Panics
/// If more is permitted than is said.
pub(crate) fn any_directives(data: &[u8]) {
    let mut fields = Fields::new();
    fields.push_known(Name::CacheControl, data);
    let alone = ResponseDirectives::of(&fields);
    assert!(alone.max_age.is_none_or(|seconds| seconds <= SECONDS_MAX));
    assert!(alone.unkept.len() <= LISTED_MAX);
    assert!(!alone.targeted);
    let _ = RequestDirectives::of(&fields);

    // A second line takes nothing back.
    fields.push_known(Name::CacheControl, b"no-store, private, max-age=0");
    let more = ResponseDirectives::of(&fields);
    assert!(more.no_store && more.private && more.max_age == Some(0));
    assert_eq!((more.public, more.no_cache), (alone.public, alone.no_cache));

    // A targeted field counts alone, or not at all.
    fields.push_known(Name::CdnCacheControl, data);
    let targeted = ResponseDirectives::of(&fields);
    assert!(targeted.targeted || targeted == more);
}

/// Reads `data` as lines: the method, the status, the request's fields, an empty line, the
/// response's fields.
///
/// # Panics
/// If something is kept or served that must not be.
pub(crate) fn any_exchange(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let text = |line: Option<&[u8]>| String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    let method = text(lines.next());
    let status = text(lines.next()).trim().parse().unwrap_or(200);
    let (mut request, mut response, mut of_request) = (Fields::new(), Fields::new(), true);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':');
        match colon {
            None => of_request = false,
            Some(at) => {
                let fields = if of_request { &mut request } else { &mut response };
                fields.push(&line[..at], line[at + 1..].trim_ascii());
            }
        }
    }
    let rules = Rules::default();
    let exchange = Exchange {
        method: &method,
        request: &request,
        status,
        response: &response,
        located_here: false,
        requested: NOW,
        received: NOW,
    };
    let decision = store(&exchange, &rules);
    let said = ResponseDirectives::of(&response);
    let wish = RequestDirectives::of(&request);
    if let Ok(meta) = decision {
        assert!(method == "GET" && !said.private && !wish.no_store && status != 206);
        assert!(!said.no_store || said.must_understand);
        assert!(!response.has(Name::SetCookie));
        let shared = said.public || said.must_revalidate || said.s_maxage.is_some();
        assert!(!request.has(Name::Authorization) || shared);
        let variant = Variant::of(&request, &response, rules.vary_max);
        assert!(variant.is_some_and(|variant| variant.matches(&request)));

        let no_wish = RequestDirectives::default();
        for later in [0, 1, 60, 1 << 33] {
            let now = NOW + later;
            let fresh = meta.ttl(now) > 0;
            assert!(meta.age(now) >= meta.age(NOW));
            let free = reuse(&meta, &no_wish, now, false);
            assert!(free != Reuse::Serve || (fresh && !meta.no_cache));
            if meta.no_stale && reuse(&meta, &wish, now, false) == Reuse::Serve {
                assert!(fresh);
            }
            assert!(reuse(&meta, &wish, now, true) != Reuse::Serve);
        }
    }
    let mut kept = response.clone();
    strip_unkept(&mut kept);
    for name in [Name::SetCookie, Name::Connection, Name::TransferEncoding, Name::Age] {
        assert!(!kept.has(name));
    }
    let length = kept.get(Name::ContentLength).map(<[u8]>::to_vec);
    update(&mut kept, &request, NOW);
    assert!(kept.has(Name::Date));
    assert_eq!(kept.get(Name::ContentLength).map(<[u8]>::to_vec), length);

    let made = conditions([&kept].into_iter());
    // Whoever sends our own condition has it.
    assert!(made.is_empty() || client_has_it(&made, &kept, NOW));
    let _ = if_range_holds(&request, &kept);
    if let Some(Wanted::Part { start, end }) =
        request.get(Name::Range).map(|value| wanted(value, 9))
    {
        assert!(start < end && end <= 9);
    }
    for path in locations(&response, "http", "a.test", 80, "/a/b?c") {
        assert!(path.starts_with('/'));
    }
}
