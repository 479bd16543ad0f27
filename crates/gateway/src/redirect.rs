//! The target of a redirect.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::edit::fill;

/// What may not stand in a URL (RFC 3986 section 2), and the backslash, which browsers take for a
/// slash. `%` stays, as what is filled in is encoded already.
const NOT_IN_URL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The request's parts that a template may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// The normalised path.
    pub(crate) path: &'a str,
    /// The query without its `?`.
    pub(crate) query: Option<&'a str>,
    /// The host, with its port where it has one.
    pub(crate) host: &'a str,
}

/// The value of `Location`: the template with `{path}`, `{query}` (with its `?`), `{host}` and
/// `{uri}` (path and query) filled in.
///
/// Nothing in it can end a line, and the client's path cannot choose another host: it is filled in
/// with exactly one slash in front, and so is a target that begins with a path.
pub(crate) fn location(template: &str, parts: Parts<'_>) -> String {
    let path = || rooted(parts.path);
    let query = || parts.query.map(|query| format!("?{query}")).unwrap_or_default();
    let filled = fill(template, |name| match name {
        "path" => Some(path().into_owned()),
        "query" => Some(query()),
        "host" => Some(parts.host.to_owned()),
        "uri" => Some(format!("{}{}", path(), query())),
        _ => None,
    });
    // A relative target stays one: `/{path}` must not become `//…`, which names a host.
    let relative = ["/", "{path}", "{uri}"].iter().any(|start| template.starts_with(start));
    let target = if relative && !template.starts_with("//") { rooted(&filled) } else { filled };
    utf8_percent_encode(&target, NOT_IN_URL).to_string()
}

/// A path with exactly one slash in front: `//evil.example` would be another host.
pub(crate) fn rooted(path: &str) -> Cow<'_, str> {
    let rest = path.trim_start_matches(['/', '\\']);
    match path.strip_prefix('/') {
        Some(after) if after.len() == rest.len() => Cow::Borrowed(path),
        _ => Cow::Owned(format!("/{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(path: &'static str) -> Parts<'static> {
        Parts { path, query: Some("a=1&b=%20"), host: "shop.example:8443" }
    }

    #[test]
    fn parts_are_filled_in() {
        let cases = [
            ("https://new.example{uri}", "https://new.example/x/y?a=1&b=%20"),
            ("https://{host}{path}", "https://shop.example:8443/x/y"),
            ("/new{path}{query}", "/new/x/y?a=1&b=%20"),
            ("{uri}", "/x/y?a=1&b=%20"),
            ("/fixed", "/fixed"),
            ("//cdn.example{path}", "//cdn.example/x/y"),
            ("/{path}", "/x/y"),
            ("/{other}", "/%7Bother%7D"),
        ];
        for (template, expected) in cases {
            assert_eq!(location(template, parts("/x/y")), expected, "{template}");
        }
        let bare = Parts { query: None, ..parts("/x") };
        assert_eq!(location("{path}{query}", bare), "/x");
    }

    #[test]
    fn a_path_never_names_a_host() {
        for path in ["//evil.example", "/\\evil.example", "\\\\evil.example", "///evil.example"] {
            for template in ["{path}", "{uri}", "/{path}", "{path}x"] {
                let target = location(template, parts(path));
                assert!(target.starts_with("/evil.example"), "{template} {path}: {target}");
            }
        }
        let user = location("https://a.example{path}", parts("@evil.example"));
        assert_eq!(user, "https://a.example/@evil.example");
    }

    proptest! {
        #[test]
        fn nothing_ends_a_line_or_leaves_the_host(path in "[/\\\\]{0,3}\\PC*[\r\n\t]?\\PC*") {
            for template in ["{path}", "/{path}", "{uri}"] {
                let parts = Parts { path: &path, query: Some(&path), host: "a" };
                let target = location(template, parts);
                prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(target.starts_with('/'));
                prop_assert!(!target.starts_with("//") && !target.contains('\\'));
            }
        }
    }
}
