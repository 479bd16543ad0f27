//! Conditions, made and answered: RFC 9111 section 4.3.

use traffic::{Fields, Name};

use super::date::{format_http_date, parse_http_date};
use super::store::is_unkept;

/// Most entity tags in a condition that is made.
pub const TAGS_MAX: usize = 16;

/// The fields of a request that make it conditional.
pub const CONDITIONS: [Name; 5] = [
    Name::IfMatch,
    Name::IfNoneMatch,
    Name::IfModifiedSince,
    Name::IfUnmodifiedSince,
    Name::IfRange,
];

/// The condition that asks whether kept responses are still current. With one of them its date
/// is asked for too. Empty when there is nothing to ask by.
pub fn conditions<'a>(kept: impl Iterator<Item = &'a Fields>) -> Fields {
    let (mut tags, mut modified) = (Vec::<&[u8]>::new(), None);
    let mut count = 0;
    for fields in kept {
        count += 1;
        modified = fields.get(Name::LastModified);
        let tag = fields.get(Name::ETag).filter(|tag| can_be_listed(tag) && !tags.contains(tag));
        tags.extend(tag.filter(|_| tags.len() < TAGS_MAX));
    }
    let mut made = Fields::new();
    if !tags.is_empty() {
        made.push_known(Name::IfNoneMatch, &tags.join(&b", "[..]));
    }
    if let (1, Some(modified)) = (count, modified) {
        made.push_known(Name::IfModifiedSince, modified);
    }
    made
}

/// Whether a 304 speaks of this kept response, when several were asked for.
pub fn confirms(answer: &Fields, kept: &Fields) -> bool {
    match (answer.get(Name::ETag), kept.get(Name::ETag)) {
        (Some(answered), Some(kept)) => opaque(answered) == opaque(kept),
        _ => false,
    }
}

/// Whether a kept 200 needs not be sent, because the client has it (304): RFC 9110 section 13.2.2
/// as a cache evaluates it, by entity tag or else by date.
///
/// * `received`: when the kept response came, unix seconds; counts as its date when it has none
pub fn client_has_it(request: &Fields, kept: &Fields, received: i64) -> bool {
    if request.has(Name::IfNoneMatch) {
        let tag = kept.get(Name::ETag).map(opaque);
        return request
            .all(Name::IfNoneMatch)
            .flat_map(entity_tags)
            .any(|member| member == b"*" || tag.is_some_and(|tag| opaque(member) == tag));
    }
    let Some(since) = request.get(Name::IfModifiedSince) else { return false };
    if kept.get(Name::LastModified) == Some(since) {
        return true;
    }
    let date = |value| parse_http_date(value, received);
    let Some(since) = date(since) else { return false };
    let own = |name| kept.get(name).and_then(date);
    own(Name::LastModified).or_else(|| own(Name::Date)).unwrap_or(received) <= since
}

/// Whether the ranges of a request are to be answered: without `If-Range`, or when it names
/// exactly what is kept (strong comparison).
pub fn if_range_holds(request: &Fields, kept: &Fields) -> bool {
    match request.get(Name::IfRange) {
        None => true,
        Some(tag) if tag.starts_with(b"\"") => kept.get(Name::ETag) == Some(tag),
        Some(tag) if tag.starts_with(b"W/") => false,
        Some(date) => {
            let time = |value| parse_http_date(value, 0);
            let modified = kept.get(Name::LastModified);
            // A date is strong when it is a minute old at least (RFC 9110 section 8.8.2.2).
            let strong = match (modified.and_then(time), kept.get(Name::Date).and_then(time)) {
                (Some(modified), Some(sent)) => sent.saturating_sub(modified) >= 60,
                _ => false,
            };
            strong && modified == Some(date)
        }
    }
}

/// Takes over the fields of a 304, or of a 200 to HEAD, into a kept response (RFC 9111 section
/// 3.2), but not those that describe the body that is kept. Call
/// [`strip_unkept`](super::strip_unkept) once the age has been read.
///
/// * `received`: unix seconds; becomes `Date` when the new response has none
pub fn update(kept: &mut Fields, new: &Fields, received: i64) {
    let nominated: Vec<&[u8]> = new.members(Name::Connection).collect();
    let taken = |known: Name, name: &[u8]| {
        known == Name::Age
            || !(is_unkept(known, name)
                || describes_body(known, name)
                || nominated.iter().any(|other| other.eq_ignore_ascii_case(name)))
    };
    kept.remove(Name::Age);
    kept.retain(|old| {
        !new.iter().any(|field| {
            field.name.eq_ignore_ascii_case(old.name) && taken(field.known, field.name)
        })
    });
    for field in new.iter().filter(|field| taken(field.known, field.name)) {
        kept.push(field.name, field.value);
    }
    if !new.has(Name::Date) {
        kept.set(Name::Date, &format_http_date(received));
    }
}

fn describes_body(known: Name, name: &[u8]) -> bool {
    matches!(known, Name::ContentEncoding | Name::ContentLength | Name::ContentRange | Name::ETag)
        || name.eq_ignore_ascii_case(b"Content-MD5")
}

/// Whether a 200 to HEAD speaks of the same representation as a kept response (RFC 9111 section
/// 4.3.5): nothing that both say differs.
pub fn head_agrees(answer: &Fields, kept: &Fields) -> bool {
    [Name::ETag, Name::LastModified, Name::ContentLength, Name::ContentEncoding].into_iter().all(
        |name| match (answer.get(name), kept.get(name)) {
            (Some(new), Some(old)) => new == old,
            _ => true,
        },
    )
}

/// Fields of a kept response that a 304 does not repeat, because the client has them (RFC 9110
/// section 15.4.5).
pub fn left_out_of_304(known: Name, has_tag: bool) -> bool {
    match known {
        Name::ContentEncoding
        | Name::ContentLanguage
        | Name::ContentLength
        | Name::ContentRange
        | Name::ContentType => true,
        Name::LastModified => has_tag,
        _ => false,
    }
}

/// Members of a list of entity tags; a comma within quotes belongs to a tag. Unlike in other
/// quoted strings, nothing is escaped (RFC 9110 section 8.8.3).
fn entity_tags(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    value
        .split(move |byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        })
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whether a tag stays one when it stands in a list.
fn can_be_listed(tag: &[u8]) -> bool {
    let quotes = tag.iter().filter(|byte| **byte == b'"').count();
    tag != b"*" && quotes % 2 == 0 && entity_tags(tag).eq([tag])
}

/// An entity tag without its mark of weakness: what weak comparison compares.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
    const NEXT: &str = "Thu, 02 Jan 2020 00:00:00 GMT";

    fn fields(lines: &[(&str, &str)]) -> Fields {
        lines.iter().copied().collect()
    }

    #[test]
    fn conditions_name_all_tags_and_one_date() {
        let one = fields(&[("ETag", "W/\"a\""), ("Last-Modified", DAY)]);
        let two = fields(&[("ETag", "\"b\"")]);
        let made = conditions([&one].into_iter());
        assert_eq!(made.get(Name::IfNoneMatch), Some(&b"W/\"a\""[..]));
        assert_eq!(made.get(Name::IfModifiedSince), Some(DAY.as_bytes()));
        let made = conditions([&one, &two, &one].into_iter());
        assert_eq!(made.get(Name::IfNoneMatch), Some(&b"W/\"a\", \"b\""[..]));
        assert!(!made.has(Name::IfModifiedSince));
        for unusable in ["*", "a, b", "a,", "\"a", ""] {
            let kept = fields(&[("ETag", unusable)]);
            assert!(conditions([&kept].into_iter()).is_empty(), "{unusable}");
        }
        assert!(confirms(&fields(&[("ETag", "\"a\"")]), &one));
        assert!(!confirms(&two, &one) && !confirms(&Fields::new(), &one));
    }

    #[test]
    fn clients_are_told_when_they_have_it() {
        let kept = fields(&[("ETag", "\"a,b\""), ("Last-Modified", DAY), ("Date", NEXT)]);
        let weak = fields(&[("ETag", "W/\"a\""), ("Date", DAY)]);
        let early = "Tue, 31 Dec 2019 00:00:00 GMT";
        for (kept, request, expected) in [
            (&kept, &[("If-None-Match", "\"a,b\"")][..], true),
            (&kept, &[("If-None-Match", "\"x\", W/\"a,b\"")], true),
            (&kept, &[("If-None-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], true),
            (&kept, &[("If-None-Match", "*")], true),
            (&kept, &[("If-None-Match", "\"x\\\", \"a,b\"")], true),
            (&kept, &[("If-None-Match", "\"a\""), ("If-Modified-Since", NEXT)], false),
            (&kept, &[("If-None-Match", "")], false),
            (&weak, &[("If-None-Match", "\"a\"")], true),
            (&kept, &[("If-Modified-Since", DAY)], true),
            (&kept, &[("If-Modified-Since", NEXT)], true),
            (&kept, &[("If-Modified-Since", "Wednesday, 01-Jan-20 00:00:00 GMT")], true),
            (&kept, &[("If-Modified-Since", early)], false),
            (&kept, &[("If-Modified-Since", "soon")], false),
            (&weak, &[("If-Modified-Since", DAY)], true),
            (&weak, &[("If-Modified-Since", early)], false),
            (&kept, &[], false),
        ] {
            assert_eq!(
                client_has_it(&fields(request), kept, 1_600_000_000),
                expected,
                "{request:?}"
            );
        }
    }

    #[test]
    fn if_range_compares_strongly() {
        let kept = fields(&[("ETag", "\"a\""), ("Last-Modified", DAY), ("Date", NEXT)]);
        let young = fields(&[("ETag", "W/\"a\""), ("Last-Modified", DAY), ("Date", DAY)]);
        let holds = |value, kept| if_range_holds(&fields(&[("If-Range", value)]), kept);
        assert!(holds("\"a\"", &kept) && holds(DAY, &kept));
        assert!(!holds("\"b\"", &kept) && !holds("W/\"a\"", &young) && !holds("\"a\"", &young));
        assert!(!holds(DAY, &young) && !holds(NEXT, &kept));
        assert!(if_range_holds(&Fields::new(), &young));
    }

    #[test]
    fn a_304_updates_all_but_what_describes_the_body() {
        let mut kept = fields(&[
            ("ETag", "\"a\""),
            ("Content-Length", "5"),
            ("Content-Encoding", "gzip"),
            ("X-A", "1"),
            ("x-b", "1"),
            ("X-B", "2"),
            ("Content-Type", "text/plain"),
            ("Date", DAY),
        ]);
        let new = fields(&[
            ("etag", "\"b\""),
            ("content-length", "10"),
            ("Content-Encoding", "br"),
            ("Content-MD5", "x"),
            ("X-B", "3"),
            ("Content-Type", "text/html"),
            ("Age", "7"),
            ("Connection", "x-c"),
            ("X-C", "1"),
            ("Set-Cookie", "a=b"),
        ]);
        update(&mut kept, &new, 1_577_923_200);
        let expected = fields(&[
            ("ETag", "\"a\""),
            ("Content-Length", "5"),
            ("Content-Encoding", "gzip"),
            ("X-A", "1"),
            ("X-B", "3"),
            ("Content-Type", "text/html"),
            ("Age", "7"),
            ("Date", NEXT),
        ]);
        assert_eq!(format!("{kept:?}"), format!("{expected:?}"));
        assert!(head_agrees(&fields(&[("ETag", "\"a\"")]), &kept));
        assert!(!head_agrees(&fields(&[("Content-Length", "6")]), &kept));
    }
}
