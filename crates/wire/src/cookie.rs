//! Cookies of a request: RFC 6265 section 5.4.

use traffic::{Fields, Name};

use crate::syntax::trim_ows;

/// The value of the first cookie of this name (which is case-sensitive), quotes included.
pub fn cookie<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    cookies(fields, name).next()
}

/// The values of all cookies of this name, in their order. Servers differ in which they take.
pub fn cookies<'a>(fields: &'a Fields, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = fields.all(Name::Cookie).flat_map(|value| value.split(|byte| *byte == b';'));
    pairs.map(trim_ows).filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cookie_of_a_name_is_found() {
        let fields: Fields = [("Cookie", "aa=0; a=1;b = 2; c=\"x=y\""), ("Cookie", "a=3;\td=4 ;e")]
            .into_iter()
            .collect();
        assert_eq!(cookie(&fields, "a"), Some(&b"1"[..]));
        assert_eq!(cookies(&fields, "a").collect::<Vec<_>>(), [b"1", b"3"]);
        assert_eq!(cookie(&fields, "c"), Some(&b"\"x=y\""[..]));
        assert_eq!(cookie(&fields, "d"), Some(&b"4"[..]));
        for name in ["A", "b", "e", "x", ""] {
            assert_eq!(cookie(&fields, name), None, "{name}");
        }
    }
}
