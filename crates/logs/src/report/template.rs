//! Path templates: `/user/123` and `/user/456` are `/user/{id}`.

use foldhash::fast::FixedState;
use foldhash::{HashMap, HashSet};
use std::hash::BuildHasher;

use super::path::is_static;

/// Different segments that one place of a path may have; with more, they become `{name}`.
pub(crate) const SIBLINGS_MAX: usize = 100;
/// Segments of a template; what follows is `…`.
pub(crate) const DEPTH_MAX: usize = 8;
/// A segment this long with digits in it is a token, unless it is words with hyphens between.
const TOKEN_MIN: usize = 20;
/// Hyphens and underscores that a token may have.
const TOKEN_HYPHENS_MAX: usize = 2;
/// Any segment longer than this is a token.
const SEGMENT_MAX: usize = 64;

/// The template of each path, in their order. It depends on the set of paths, not on their order.
pub(crate) fn templates<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut templates: Vec<String> = paths.map(template).collect();
    for depth in 1..=DEPTH_MAX {
        if !limit(&mut templates, depth) {
            break;
        }
    }
    templates
}

/// One path's template by the looks of its segments.
fn template(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let mut template = String::with_capacity(path.len());
    for (depth, segment) in path.split('/').enumerate() {
        if depth > 0 {
            template.push('/');
        }
        if depth > DEPTH_MAX {
            template.push('…');
            break;
        }
        template.push_str(kind(segment).unwrap_or(segment));
    }
    template
}

/// What a segment is when it looks like one of many.
fn kind(segment: &str) -> Option<&'static str> {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let is_hex = || segment.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_token = || {
        let hyphens = segment.bytes().filter(|byte| b"-_".contains(byte)).count();
        hyphens <= TOKEN_HYPHENS_MAX
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=~".contains(&byte))
    };
    match segment.len() {
        0 => None,
        n if n == digits => Some("{id}"),
        36 if is_uuid(segment) => Some("{uuid}"),
        n if n >= 8 && digits > 0 && is_hex() => Some("{hex}"),
        n if n >= TOKEN_MIN && digits >= 2 && is_token() => Some("{token}"),
        n if n > SEGMENT_MAX => Some("{text}"),
        _ => None,
    }
}

fn is_uuid(segment: &str) -> bool {
    segment.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// Replaces the segments at `depth` of those beginnings that are followed by too many different ones.
/// False when no template is that deep.
fn limit(templates: &mut [String], depth: usize) -> bool {
    let hasher = FixedState::default();
    let mut seen: HashSet<(u64, u64)> = HashSet::default();
    let mut siblings: HashMap<u64, usize> = HashMap::default();
    for (before, segment, _) in templates.iter().filter_map(|template| split(template, depth)) {
        let before = hasher.hash_one(before);
        if seen.insert((before, hasher.hash_one(segment))) {
            *siblings.entry(before).or_default() += 1;
        }
    }
    for template in templates {
        let Some((before, segment, after)) = split(template, depth) else { continue };
        let many = siblings.get(&hasher.hash_one(before)).is_some_and(|n| *n > SIBLINGS_MAX);
        if many && !segment.starts_with('{') && !segment.is_empty() {
            *template = format!("{before}{{name}}{}{after}", ending(segment));
        }
    }
    !seen.is_empty()
}

/// The ending of a static file's name with its dot, since files of different kinds are different things.
fn ending(segment: &str) -> &str {
    match segment.rfind('.') {
        Some(dot) if is_static(segment.as_bytes()) => &segment[dot..],
        _ => "",
    }
}

/// What is before segment `depth` (its slash included), the segment, and what is after it.
fn split(template: &str, depth: usize) -> Option<(&str, &str, &str)> {
    let (slash, _) = template.match_indices('/').nth(depth - 1)?;
    let (before, rest) = template.split_at(slash + 1);
    let (segment, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((before, segment, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_look_like_one_of_many() {
        for (path, expected) in [
            ("/user/123", "/user/{id}"),
            ("/user/123/orders/9", "/user/{id}/orders/{id}"),
            ("/o/123e4567-e89b-12d3-a456-426614174000", "/o/{uuid}"),
            ("/blob/da39a3ee5e6b4b0d", "/blob/{hex}"),
            ("/t/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/t/{token}"),
            ("/shop/deadbeef", "/shop/deadbeef"),
            ("/blog/10-things-to-do-in-2026", "/blog/10-things-to-do-in-2026"),
            ("/", "/"),
            ("/a//b/", "/a//b/"),
            ("/1/2/3/4/5/6/7/8/9/10", "/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/…"),
            ("*", "*"),
        ] {
            assert_eq!(template(path.as_bytes()), expected);
        }
    }

    #[test]
    fn many_siblings_become_one() {
        let mut paths: Vec<String> =
            (0..=SIBLINGS_MAX).map(|n| format!("/blog/post-{n}-x/edit")).collect();
        paths.push("/about/us".to_owned());
        let templates = templates(paths.iter().map(String::as_bytes));
        assert!(
            templates[..paths.len() - 1].iter().all(|template| template == "/blog/{name}/edit")
        );
        assert_eq!(templates[paths.len() - 1], "/about/us");
    }

    #[test]
    fn a_few_siblings_stay() {
        let paths = ["/a/x.css", "/a/y.css", "/b"];
        assert_eq!(templates(paths.iter().map(|path| path.as_bytes())), paths);
    }
}
