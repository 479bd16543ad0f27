//! One name for many paths: `/user/123/orders` and `/user/456/orders` are one endpoint.

use std::borrow::Cow;

/// The endpoint that a request target belongs to: its path, with every segment that looks like an
/// id replaced by `{id}`. Query, fragment, scheme and authority are dropped.
///
/// An id is a number, a UUID, or a hexadecimal or mixed word of at least eight characters that
/// holds a digit; a file extension is kept (`/img/48213.png` → `/img/{id}.png`).
pub fn endpoint_of(target: &str) -> Cow<'_, str> {
    let path = path_of(target);
    if !path.split('/').any(|segment| is_id(split_extension(segment).0)) {
        return Cow::Borrowed(path);
    }
    let segments: Vec<Cow<'_, str>> = path
        .split('/')
        .map(|segment| {
            let (stem, extension) = split_extension(segment);
            if is_id(stem) {
                Cow::Owned(format!("{{id}}{extension}"))
            } else {
                Cow::Borrowed(segment)
            }
        })
        .collect();
    Cow::Owned(segments.join("/"))
}

/// The path of a request target in origin form or absolute form (RFC 9112 §3.2).
pub fn path_of(target: &str) -> &str {
    let path = match target.find("://") {
        Some(scheme) if !target.starts_with('/') => {
            let authority = &target[scheme + 3..];
            authority.find('/').map_or("/", |slash| &authority[slash..])
        }
        _ => target,
    };
    &path[..path.find(['?', '#']).unwrap_or(path.len())]
}

/// Splits a short extension off a file name: `48213.png` → (`48213`, `.png`).
fn split_extension(segment: &str) -> (&str, &str) {
    match segment.rfind('.') {
        Some(dot) if dot > 0 && segment.len() - dot <= 6 => segment.split_at(dot),
        _ => (segment, ""),
    }
}

fn is_id(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return false;
    }
    let hex_or_dash = bytes.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let alphanumeric = bytes.iter().all(u8::is_ascii_alphanumeric);
    digits == bytes.len()
        || (hex_or_dash && bytes.len() >= 8)
        || (alphanumeric && bytes.len() >= 16 && digits >= 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_placeholders() {
        for (target, endpoint) in [
            ("/", "/"),
            ("/user/123?x=1", "/user/{id}"),
            ("/user/123/orders/9", "/user/{id}/orders/{id}"),
            ("/o/550e8400-e29b-41d4-a716-446655440000", "/o/{id}"),
            ("/c/9fceb02d0ae598e9", "/c/{id}"),
            ("/img/48213.png", "/img/{id}.png"),
            ("/presentations/logstash-2013/", "/presentations/logstash-2013/"),
            ("/v2/items", "/v2/items"),
            ("http://a.example/x/7", "/x/{id}"),
            ("http://a.example", "/"),
            ("*", "*"),
        ] {
            assert_eq!(endpoint_of(target), endpoint, "{target}");
        }
    }
}
