//! Regular expressions of ECMAScript (without the `u` flag) in the syntax of the `regex` crate.

use crate::targeting::matcher::compile;
use regex::Regex;

/// Compiles a pattern. `None` when it is not one, or needs look-around or back-references.
pub(super) fn pattern(text: &str, ignore_case: bool) -> Option<Regex> {
    compile(&translate(text), ignore_case).ok()
}

/// The classes `\d` and `\w` and the border `\b` are ASCII, and a class has no operators.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut in_class = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('b') if in_class => out.push_str("\\x08"),
                Some('b') => out.push_str("(?-u:\\b)"),
                Some('B') => out.push_str("(?-u:\\B)"),
                // Without meaning in ECMAScript, another one here.
                Some(other @ ('<' | '>')) => out.push(other),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // An empty class, which matches nothing, or everything when negated.
                if chars.next_if_eq(&']').is_some() {
                    in_class = false;
                    out.pop();
                    let everything = out.ends_with('[');
                    if everything {
                        out.pop();
                    }
                    out.push_str(if everything { "(?s:.)" } else { "[^\\s\\S]" });
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Operators of classes here, plain characters there.
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_what_ecmascript_means() {
        for (text, subject, expected) in [
            (r"^\d+$", "123", true),
            (r"^\d+$", "१२३", false),
            (r"^\w+$", "caf\u{e9}", false),
            (r"[\w.-]+@", "a.b-c@", true),
            (r"^[\d]$", "5", true),
            (r"\bcat\b", "a cat!", true),
            (r"[a&&b]", "&", true),
            (r"[[]", "[", true),
            (r"^[^]$", "\n", true),
            (r"[]", "a", false),
            (r"https?:\/\/x", "http://x", true),
            (r"^\<a\>$", "<a>", true),
            (r"(?:a|b){2}$", "xab", true),
        ] {
            let found = pattern(text, false).unwrap().is_match(subject);
            assert_eq!(found, expected, "{text} {subject}");
        }
        assert!(pattern("(a", false).is_none());
        assert!(pattern("a(?=b)", false).is_none());
        assert!(pattern(r"(a)\1", false).is_none());
        assert!(pattern("ABC", true).unwrap().is_match("xabcx"));
    }
}
