//! How long a response is fresh and how old it is: RFC 9111 section 4.2.

use std::time::Duration;

use traffic::{Fields, Name};

use super::date::parse_http_date;
use super::directives::{ResponseDirectives, SECONDS_MAX, delta_seconds};
use super::rules::Rules;

/// Where a freshness lifetime comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The response says so.
    Explicit,
    /// [`Rules::negative`] or [`Rules::default_ttl`].
    Rule,
    /// The age of `Last-Modified`.
    Heuristic,
    /// Nothing says anything: not fresh at all.
    None,
}

/// Seconds of freshness, counted from the age zero, and where they come from.
///
/// * `received`: when the response came, unix seconds; stands in for a `Date` that is missing or
///   invalid
pub fn lifetime(
    status: u16,
    fields: &Fields,
    directives: &ResponseDirectives,
    rules: &Rules,
    received: i64,
) -> (u32, Source) {
    let (seconds, source) = uncapped(status, fields, directives, rules, received);
    let most = rules.max_ttl.map_or(SECONDS_MAX, whole_seconds);
    (seconds.min(most), source)
}

fn uncapped(
    status: u16,
    fields: &Fields,
    directives: &ResponseDirectives,
    rules: &Rules,
    received: i64,
) -> (u32, Source) {
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return (seconds, Source::Explicit);
    }
    let date = fields.get(Name::Date).and_then(|date| parse_http_date(date, received));
    let date = date.unwrap_or(received);
    if !directives.targeted && fields.has(Name::Expires) {
        // The earliest of several; what is no date lies in the past.
        let expires = fields
            .all(Name::Expires)
            .map(|value| parse_http_date(value, received).unwrap_or(i64::MIN))
            .min();
        return (clamp(expires.unwrap_or(i64::MIN).saturating_sub(date)), Source::Explicit);
    }
    if let Some(rule) = rules.negative.iter().find(|rule| rule.status == status) {
        return (whole_seconds(rule.ttl), Source::Rule);
    }
    if !(heuristically_cacheable(status) || directives.public) {
        return (0, Source::None);
    }
    if status < 400 && !rules.default_ttl.is_zero() {
        return (whole_seconds(rules.default_ttl), Source::Rule);
    }
    let modified =
        fields.get(Name::LastModified).and_then(|value| parse_http_date(value, received));
    match modified {
        Some(modified) if rules.heuristic && modified < date => {
            let tenth = clamp(date.saturating_sub(modified) / 10);
            (tenth.min(whole_seconds(rules.heuristic_max)), Source::Heuristic)
        }
        _ => (0, Source::None),
    }
}

/// Statuses that may be kept though the response says nothing (RFC 9110 section 15.1); partial
/// content is left out.
pub fn heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Seconds of age that a response has when it comes (RFC 9111 section 4.2.3); `None` when its
/// `Age` cannot be trusted: anything but one number of seconds.
///
/// * `requested`, `received`: when the request was sent and the response came, unix seconds
pub fn initial_age(fields: &Fields, requested: i64, received: i64) -> Option<u32> {
    let mut ages = fields.all(Name::Age);
    let said = match ages.next() {
        None => 0,
        Some(age) if ages.next().is_none() => delta_seconds(age)?,
        Some(_) => return None,
    };
    let delay = clamp(received.saturating_sub(requested));
    let date = fields.get(Name::Date).and_then(|date| parse_http_date(date, received));
    let apparent = date.map_or(0, |date| clamp(received.saturating_sub(date)));
    Some(apparent.max(said.saturating_add(delay)).min(SECONDS_MAX))
}

/// Whole seconds, at most [`SECONDS_MAX`].
pub(super) fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(SECONDS_MAX).min(SECONDS_MAX)
}

/// Nothing below zero, at most [`SECONDS_MAX`].
pub(super) fn clamp(seconds: i64) -> u32 {
    u32::try_from(seconds.clamp(0, i64::from(SECONDS_MAX))).unwrap_or(SECONDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::date::format_http_date;
    use super::super::rules::Negative;
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn fields(lines: &[(&str, &str)], dates: &[(Name, i64)]) -> Fields {
        let mut fields: Fields = lines.iter().copied().collect();
        for (name, offset) in dates {
            fields.push_known(*name, &format_http_date(NOW + offset));
        }
        fields
    }

    fn of(status: u16, fields: &Fields, rules: &Rules) -> (u32, Source) {
        lifetime(status, fields, &ResponseDirectives::of(fields), rules, NOW)
    }

    #[test]
    fn what_is_said_counts_in_order() {
        use Name::{Date, Expires};
        let cc = |value| [("Cache-Control", value)];
        let rules = Rules::default();
        for (lines, dates, expected) in [
            (&cc("max-age=1, s-maxage=60")[..], &[(Expires, 5)][..], 60),
            (&cc("max-age=60"), &[(Expires, -5), (Date, 0)], 60),
            (&[], &[(Expires, 50), (Date, 0)], 50),
            (&[], &[(Expires, 300), (Date, 400)], 0),
            (&[], &[(Expires, 20), (Date, -10)], 30),
            (&[], &[(Expires, 20), (Expires, 10)], 10),
            (&[("Date", "foo")], &[(Expires, 10)], 10),
            (&[("Expires", "0")], &[(Date, 0)], 0),
            (&[("CDN-Cache-Control", "public")], &[(Expires, 10)], 0),
        ] {
            assert_eq!(of(200, &fields(lines, dates), &rules).0, expected, "{lines:?} {dates:?}");
        }
        let capped = Rules { max_ttl: Some(Duration::from_secs(9)), ..Rules::default() };
        assert_eq!(of(200, &fields(&cc("max-age=60"), &[]), &capped), (9, Source::Explicit));
    }

    #[test]
    fn what_is_not_said_follows_the_rules_then_the_heuristic() {
        let old = fields(&[], &[(Name::LastModified, -1_000), (Name::Date, 0)]);
        let rules = Rules::default();
        for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
            assert_eq!(of(status, &old, &rules), (100, Source::Heuristic), "{status}");
        }
        for status in [201, 202, 206, 302, 307, 400, 403, 500, 502, 503, 504, 599] {
            assert_eq!(of(status, &old, &rules), (0, Source::None), "{status}");
        }
        let public = fields(&[("Cache-Control", "public")], &[(Name::LastModified, -1_000)]);
        assert_eq!(of(599, &public, &rules), (100, Source::Heuristic));
        let off = Rules { heuristic: false, ..Rules::default() };
        assert_eq!(of(200, &old, &off), (0, Source::None));
        let ancient = fields(&[], &[(Name::LastModified, -1_000_000_000)]);
        assert_eq!(of(200, &ancient, &rules), (86_400, Source::Heuristic));
        let set = Rules {
            default_ttl: Duration::from_secs(7),
            negative: vec![Negative { status: 503, ttl: Duration::from_secs(2) }],
            ..Rules::default()
        };
        assert_eq!(of(200, &old, &set), (7, Source::Rule));
        assert_eq!(of(503, &old, &set), (2, Source::Rule));
        assert_eq!(of(404, &Fields::new(), &set), (0, Source::None));
    }

    #[test]
    fn age_is_the_larger_of_what_is_said_and_what_appears() {
        for (lines, date, delay, expected) in [
            (&[][..], 0, 0, Some(0)),
            (&[("Age", "30")], 0, 2, Some(32)),
            (&[("Age", "30")], -7_200, 0, Some(7_200)),
            (&[("Age", "15")], 10, 0, Some(15)),
            (&[("Age", "999999999999")], 0, 5, Some(SECONDS_MAX)),
            (&[("Age", "abc")], 0, 0, None),
            (&[("Age", "-7200")], 0, 0, None),
            (&[("Age", "7200.0")], 0, 0, None),
            (&[("Age", "")], 0, 0, None),
            (&[("Age", "0, 0")], 0, 0, None),
            (&[("Age", "7200;foo=bar")], 0, 0, None),
            (&[("Age", "0"), ("Age", "0")], 0, 0, None),
        ] {
            let fields = fields(lines, &[(Name::Date, date)]);
            assert_eq!(initial_age(&fields, NOW - delay, NOW), expected, "{lines:?}");
        }
    }
}
