//! Conditional and range requests: RFC 9110 sections 13 and 14.

use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use traffic::{Fields, Name};

use super::folder::Opened;
use crate::compress::token;
use crate::params::Coding;

/// Digits of a position in a range; more cannot be a file's.
const DIGITS_MAX: usize = 19;

/// What tells versions of a file apart.
#[derive(Debug)]
pub(super) struct Version {
    /// Length in bytes.
    pub(super) len: u64,
    /// A strong entity tag of the time of the last change, in nanoseconds, and the length.
    pub(super) etag: String,
    /// The last change, in seconds since 1970.
    modified: i64,
}

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The whole file.
    Whole,
    /// A part of it: the positions of the first and the last byte.
    Part {
        /// Of the first byte.
        first: u64,
        /// Of the last byte.
        last: u64,
    },
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client takes it for.
    Failed,
    /// 416: it has no such part.
    OutOfRange,
}

impl Version {
    pub(super) fn of(opened: &Opened, coding: Option<Coding>) -> Version {
        let (len, (seconds, nanoseconds)) = (opened.len, opened.modified);
        let variant = coding.map(|coding| format!("-{}", token(coding))).unwrap_or_default();
        let etag = format!("\"{seconds:x}.{nanoseconds:x}-{len:x}{variant}\"");
        Version { len, etag, modified: seconds }
    }

    /// The value of `Last-Modified`.
    pub(super) fn last_modified(&self) -> Option<String> {
        let timestamp = Timestamp::from_second(self.modified).ok()?;
        DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp).ok()
    }
}

/// Preconditions in the order of section 13.2.2, then the range.
pub(super) fn evaluate(head: bool, request: &Fields, version: &Version) -> Outcome {
    let weak = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag) == version.etag.as_bytes();
    let strong = |tag: &[u8]| tag == version.etag.as_bytes();
    if request.has(Name::IfMatch) {
        if !request.members(Name::IfMatch).any(|tag| tag == b"*" || strong(tag)) {
            return Outcome::Failed;
        }
    } else if date(request, Name::IfUnmodifiedSince).is_some_and(|since| version.modified > since) {
        return Outcome::Failed;
    }
    if request.has(Name::IfNoneMatch) {
        if request.members(Name::IfNoneMatch).any(|tag| tag == b"*" || weak(tag)) {
            return Outcome::NotModified;
        }
    } else if date(request, Name::IfModifiedSince).is_some_and(|since| version.modified <= since) {
        return Outcome::NotModified;
    }
    let current = match request.get(Name::IfRange) {
        None => true,
        // A date would have to be a strong validator (section 13.1.5): not within its second.
        Some(tag) => strong(tag),
    };
    match request.get(Name::Range) {
        Some(range) if !head && current => part(range, version.len),
        _ => Outcome::Whole,
    }
}

/// The part that a `Range` of one range asks for. What is malformed, of another unit or of several
/// ranges is as good as absent (section 14.2).
fn part(range: &[u8], len: u64) -> Outcome {
    let parse = || {
        let (unit, spec) = range.split_at_checked(6)?;
        let dash = spec.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (spec.get(..dash)?, spec.get(dash + 1..)?);
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return None;
        }
        Some(match (number(first)?, number(last)?) {
            (Some(first), last) if last.is_none_or(|last| first <= last) => {
                let end = len.saturating_sub(1);
                (first, last.unwrap_or(end).min(end), first < len)
            }
            (None, Some(count)) => {
                (len.saturating_sub(count), len.saturating_sub(1), count > 0 && len > 0)
            }
            _ => return None,
        })
    };
    match parse() {
        None => Outcome::Whole,
        Some((first, last, true)) => Outcome::Part { first, last },
        Some((_, _, false)) => Outcome::OutOfRange,
    }
}

/// A number, or nothing where there is no digit; `None` for anything else.
fn number(text: &[u8]) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if text.len() > DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().map(Some)
}

/// A date in seconds since 1970; a field that holds none is as good as absent.
fn date(request: &Fields, name: Name) -> Option<i64> {
    let value = request.get(name)?;
    DateTimeParser::new().parse_timestamp(value).ok().map(Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example date of RFC 9110 section 5.6.7.
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn version() -> Version {
        Version { len: 1_000, etag: "\"a\"".into(), modified: 784_111_777 }
    }

    fn outcome(pairs: &[(&'static str, &'static str)]) -> Outcome {
        evaluate(false, &pairs.iter().copied().collect(), &version())
    }

    #[test]
    fn dates_have_the_form_of_rfc_9110() {
        assert_eq!(version().last_modified().as_deref(), Some(DATE));
    }

    #[test]
    fn preconditions_are_evaluated_in_order() {
        use Outcome::{Failed, NotModified, Whole};
        const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
        const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
        let cases: &[(&[(&'static str, &'static str)], Outcome)] = &[
            (&[], Whole),
            (&[("If-None-Match", "\"a\"")], NotModified),
            (&[("If-None-Match", "W/\"a\"")], NotModified),
            (&[("If-None-Match", "\"b\", \"a\"")], NotModified),
            (&[("If-None-Match", "*")], NotModified),
            (&[("If-None-Match", "\"b\"")], Whole),
            (&[("If-None-Match", "a")], Whole),
            (&[("If-None-Match", "\"b\""), ("If-Modified-Since", AFTER)], Whole),
            (&[("If-Modified-Since", DATE)], NotModified),
            (&[("If-Modified-Since", AFTER)], NotModified),
            (&[("If-Modified-Since", BEFORE)], Whole),
            (&[("If-Modified-Since", "yesterday")], Whole),
            (&[("If-Match", "\"a\"")], Whole),
            (&[("If-Match", "*")], Whole),
            (&[("If-Match", "W/\"a\"")], Failed),
            (&[("If-Match", "\"b\"")], Failed),
            (&[("If-Match", "\"b\""), ("If-None-Match", "\"a\"")], Failed),
            (&[("If-Match", "\"a\""), ("If-None-Match", "\"a\"")], NotModified),
            (&[("If-Unmodified-Since", BEFORE)], Failed),
            (&[("If-Unmodified-Since", DATE)], Whole),
            (&[("If-Match", "\"a\""), ("If-Unmodified-Since", BEFORE)], Whole),
            (&[("If-None-Match", "\"a\""), ("Range", "bytes=0-1")], NotModified),
        ];
        for (fields, expected) in cases {
            assert_eq!(outcome(fields), *expected, "{fields:?}");
        }
    }

    #[test]
    fn one_range_is_served() {
        let part = |first, last| Outcome::Part { first, last };
        let cases = [
            ("bytes=0-499", part(0, 499)),
            ("bytes=500-999", part(500, 999)),
            ("bytes=-500", part(500, 999)),
            ("bytes=-5000", part(0, 999)),
            ("bytes=999-", part(999, 999)),
            ("Bytes=0-0", part(0, 0)),
            ("bytes=0-99999", part(0, 999)),
            ("bytes=1000-", Outcome::OutOfRange),
            ("bytes=1000-1001", Outcome::OutOfRange),
            ("bytes=-0", Outcome::OutOfRange),
            ("bytes=2-1", Outcome::Whole),
            ("bytes=-", Outcome::Whole),
            ("bytes=", Outcome::Whole),
            ("bytes=0-1,3-4", Outcome::Whole),
            ("bytes=a-b", Outcome::Whole),
            ("bytes=+1-2", Outcome::Whole),
            ("bytes=99999999999999999999-", Outcome::Whole),
            ("items=0-1", Outcome::Whole),
            ("", Outcome::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(outcome(&[("Range", range)]), expected, "{range}");
        }
        let empty = Version { len: 0, ..version() };
        for range in ["bytes=0-", "bytes=-1"] {
            let request = [("Range", range)].into_iter().collect();
            assert_eq!(evaluate(false, &request, &empty), Outcome::OutOfRange, "{range}");
        }
        let request = [("Range", "bytes=0-1")].into_iter().collect();
        assert_eq!(evaluate(true, &request, &version()), Outcome::Whole);
    }

    #[test]
    fn a_range_of_another_version_is_not_served() {
        let range = ("Range", "bytes=0-1");
        let part = Outcome::Part { first: 0, last: 1 };
        assert_eq!(outcome(&[range, ("If-Range", "\"a\"")]), part);
        for other in ["\"b\"", "W/\"a\"", DATE] {
            assert_eq!(outcome(&[range, ("If-Range", other)]), Outcome::Whole, "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_part_is_inside(range in "bytes=[0-9]{0,20}-[0-9]{0,20}", len in 0_u64..2_000) {
            if let Outcome::Part { first, last } = part(range.as_bytes(), len) {
                prop_assert!(first <= last && last < len);
            }
        }
    }
}
