//! From the path of a request to that of a file.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Longest path that is looked for, in bytes (`PATH_MAX` of Linux).
const PATH_MAX: usize = 4_096;

/// The file that a path means, relative to the root; `None` for what can be none: paths that
/// climb, that hold NUL, a slash or a backslash in encoded form or are not UTF-8, and those with a
/// part that begins with a dot, other than `.well-known` (RFC 8615).
pub(super) fn relative(path: &str) -> Option<PathBuf> {
    if path.len() > PATH_MAX {
        return None;
    }
    let mut relative = PathBuf::new();
    for part in path.strip_prefix('/')?.split('/').filter(|part| !part.is_empty()) {
        let part = percent_decode_str(part).decode_utf8().ok()?;
        let hidden =
            part.starts_with('.') && !(part == ".well-known" && relative.as_os_str().is_empty());
        if hidden || part.contains(['/', '\\', '\0']) {
            return None;
        }
        relative.push(&*part);
    }
    Some(relative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn paths_are_decoded_once() {
        for (path, expected) in [
            ("/", Some("")),
            ("/a/b.html", Some("a/b.html")),
            ("/a//b/", Some("a/b")),
            ("/a%20b", Some("a b")),
            ("/%C3%A9", Some("é")),
            ("/%2525", Some("%25")),
            ("/a%", Some("a%")),
            ("/a..b", Some("a..b")),
            ("/.well-known/acme-challenge/x", Some(".well-known/acme-challenge/x")),
            ("/a/.well-known/x", None),
            ("/.git/config", None),
            ("/a/.env", None),
            ("/%2egit", None),
            ("/..", None),
            ("/a/../b", None),
            ("/%2e%2e/b", None),
            ("/%252e%252e/b", Some("%2e%2e/b")),
            ("/a%2Fb", None),
            ("/a%5cb", None),
            ("/a\\b", None),
            ("/a%00.html", None),
            ("/%FF", None),
            ("a", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(relative(path), expected.map(PathBuf::from), "{path}");
        }
        assert_eq!(relative(&"/a".repeat(PATH_MAX)), None);
    }

    proptest! {
        #[test]
        fn no_path_climbs(path in "(/|\\.|\\.\\.|%2[eEfF]|%5[cC]|%00|\\\\|[a-c]|\\PC){0,20}") {
            if let Some(relative) = relative(&path) {
                for part in relative.components() {
                    prop_assert!(matches!(part, Component::Normal(_)), "{:?}", part);
                }
            }
        }
    }
}
