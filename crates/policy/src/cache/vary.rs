//! Which of several kept responses of one URL a request selects: RFC 9111 section 4.1.

use traffic::{Fields, Name};

use super::directives::split_list;

/// The request fields that a response depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vary {
    /// These, in lower case, sorted.
    Names(Vec<Box<[u8]>>),
    /// On more than is known, or on more than [`super::Rules::vary_max`] fields.
    Any,
}

/// Reads `Vary`.
pub fn vary_of(response: &Fields, names_max: usize) -> Vary {
    let mut names: Vec<Box<[u8]>> = Vec::new();
    for member in response.members(Name::Vary) {
        if member == b"*" {
            return Vary::Any;
        }
        let name = member.to_ascii_lowercase().into_boxed_slice();
        if let Err(place) = names.binary_search(&name) {
            if names.len() == names_max {
                return Vary::Any;
            }
            names.insert(place, name);
        }
    }
    Vary::Names(names)
}

/// The request that a kept response answers, as far as its `Vary` goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variant {
    selecting: Vec<Selecting>,
    language: Option<Box<[u8]>>,
}

/// A request field's name, and its value when there is one, normalised.
type Selecting = (Box<[u8]>, Option<Vec<u8>>);

impl Variant {
    /// The variant of a response to a request; `None` when its `Vary` is [`Vary::Any`].
    pub fn of(request: &Fields, response: &Fields, names_max: usize) -> Option<Variant> {
        let Vary::Names(names) = vary_of(response, names_max) else { return None };
        let language = names
            .iter()
            .any(|name| **name == *b"accept-language")
            .then(|| response.get(Name::ContentLanguage).map(Box::from))
            .flatten();
        let selecting = names
            .into_iter()
            .map(|name| {
                let value = normalised(&name, request);
                (name, value)
            })
            .collect();
        Some(Variant { selecting, language })
    }

    /// Whether a request selects it.
    pub fn matches(&self, request: &Fields) -> bool {
        self.selecting
            .iter()
            .all(|(name, value)| normalised(name, request) == *value || self.speaks(name, request))
    }

    /// Whether it is in the one language that a request likes best.
    fn speaks(&self, name: &[u8], request: &Fields) -> bool {
        let Some(language) = &self.language else { return false };
        if name != b"accept-language" {
            return false;
        }
        let Some(wishes) = weighted(&combined(Name::AcceptLanguage, request)) else { return false };
        match wishes.as_slice() {
            [best, second, ..] if best.0 == second.0 => false,
            [best, ..] => best.0 > 0 && best.1.eq_ignore_ascii_case(language),
            [] => false,
        }
    }

    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        let part = |(name, value): &Selecting| 64 + name.len() + value.as_ref().map_or(0, Vec::len);
        self.selecting.iter().map(part).sum()
    }
}

/// The value of a selecting field with everything taken away that makes no difference: how it is
/// spread over lines, white space around commas, and for negotiation fields also case and order
/// (RFC 9111 section 4.1). `None` when the request has no such field.
fn normalised(name: &[u8], request: &Fields) -> Option<Vec<u8>> {
    let known = Name::of(name);
    match known {
        Name::Other => {
            let lines: Vec<&[u8]> = request
                .iter()
                .filter(|field| field.name.eq_ignore_ascii_case(name))
                .map(|field| field.value)
                .collect();
            (!lines.is_empty()).then(|| listed(&lines.join(&b","[..])))
        }
        _ if !request.has(known) => None,
        // No lists: taken as they are.
        Name::Cookie | Name::Authorization | Name::UserAgent => {
            Some(request.all(known).collect::<Vec<_>>().join(&b"\n"[..]))
        }
        Name::AcceptEncoding | Name::AcceptLanguage => {
            let value = combined(known, request);
            Some(weighted(&value).map_or_else(|| listed(&value), |wishes| spelled(&wishes)))
        }
        _ => Some(listed(&combined(known, request))),
    }
}

fn combined(known: Name, request: &Fields) -> Vec<u8> {
    request.all(known).collect::<Vec<_>>().join(&b","[..])
}

fn listed(value: &[u8]) -> Vec<u8> {
    split_list(value).collect::<Vec<_>>().join(&b","[..])
}

/// Members with their weights in thousandths, best first, equals by name; `None` when anything is
/// not well-formed.
fn weighted(value: &[u8]) -> Option<Vec<(u16, Vec<u8>)>> {
    let mut wishes = Vec::new();
    for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if member.is_empty() {
            continue;
        }
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next()?.to_ascii_lowercase();
        let weight = match parts.next() {
            None => 1_000,
            Some(weight) => thousandths(weight)?,
        };
        if parts.next().is_some() || name.iter().any(|byte| b"\" \t=".contains(byte)) {
            return None;
        }
        wishes.push((weight, name));
    }
    wishes.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    Some(wishes)
}

/// `q=0.5` is 500.
fn thousandths(text: &[u8]) -> Option<u16> {
    let text = text.strip_prefix(b"q=").or_else(|| text.strip_prefix(b"Q="))?;
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut value = u16::from(whole - b'0') * 1_000;
    for (digit, unit) in fraction.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value += u16::from(digit - b'0') * unit;
    }
    (value <= 1_000).then_some(value)
}

fn spelled(wishes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (weight, name) in wishes {
        text.extend_from_slice(name);
        text.extend_from_slice(format!(";{weight},").as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        lines.iter().copied().collect()
    }

    fn selects(vary: &str, stored: &[(&str, &str)], asked: &[(&str, &str)]) -> bool {
        let response = fields(&[("Vary", vary)]);
        let variant = Variant::of(&fields(stored), &response, 8).expect("no star");
        variant.matches(&fields(asked))
    }

    #[test]
    fn values_are_compared_by_what_makes_a_difference() {
        for (vary, stored, asked, expected) in [
            ("Foo", &[("Foo", "1")][..], &[("foo", "1"), ("Other", "2")][..], true),
            ("Foo", &[("Foo", "1")], &[("Foo", "2")], false),
            ("Foo", &[], &[("Foo", "1")], false),
            ("Foo", &[("Foo", "1")], &[], false),
            ("Foo", &[("Foo", "")], &[], false),
            ("Foo, Bar", &[("Foo", "1")], &[("Foo", "1")], true),
            ("Foo, Bar", &[("Foo", "1")], &[("Foo", "1"), ("Bar", "")], false),
            ("Foo", &[("Foo", "1, 2")], &[("Foo", "1"), ("Foo", "2")], true),
            ("Foo", &[("Foo", "1,2")], &[("Foo", " 1, 2 ")], true),
            ("Foo", &[("Foo", "\"1, 2\"")], &[("Foo", "\"1,2\"")], false),
            ("Foo", &[("Foo", "1,2")], &[("Foo", "2,1")], false),
            ("Cookie", &[("Cookie", "a=1,2")], &[("Cookie", "a=1, 2")], false),
            (
                "Accept-Language",
                &[("Accept-Language", "en, de")],
                &[("Accept-Language", "De,eN")],
                true,
            ),
            (
                "Accept-Language",
                &[("Accept-Language", "en, de;q=0.5")],
                &[("Accept-Language", "de, en;q=0.5")],
                false,
            ),
            (
                "Accept-Encoding",
                &[("Accept-Encoding", "gzip, br")],
                &[("Accept-Encoding", "br;q=1.0,GZIP")],
                true,
            ),
            (
                "Accept-Encoding",
                &[("Accept-Encoding", "gzip")],
                &[("Accept-Encoding", "gzip;q=0")],
                false,
            ),
        ] {
            assert_eq!(selects(vary, stored, asked), expected, "{vary} {stored:?} {asked:?}");
        }
    }

    #[test]
    fn the_best_language_is_selected_when_there_is_only_one_best() {
        let response = fields(&[("Vary", "Accept-Language"), ("Content-Language", "de")]);
        let variant = Variant::of(&fields(&[("Accept-Language", "en, de")]), &response, 8);
        let variant = variant.expect("no star");
        let selects = |value| variant.matches(&fields(&[("Accept-Language", value)]));
        assert!(selects("fr;q=0.5, de;q=1.0"));
        assert!(!selects("fr, de") && !selects("de;q=0") && !selects("*") && !selects("fr"));
    }

    #[test]
    fn stars_and_long_lists_match_nothing() {
        for value in ["*", "*, *", ", *", "foo, *", "*, foo", "a,b,c,d,e,f,g,h,i"] {
            assert_eq!(vary_of(&fields(&[("Vary", value)]), 8), Vary::Any, "{value}");
        }
        let two = vary_of(&fields(&[("Vary", "B, a,b"), ("Vary", "")]), 2);
        assert_eq!(two, Vary::Names(vec![Box::from(&b"a"[..]), Box::from(&b"b"[..])]));
    }

    proptest! {
        #[test]
        fn a_request_selects_its_own_answer(value in "[a-z,;=\"0-9. *]{0,30}") {
            for name in ["Accept-Language", "Accept-Encoding", "Cookie", "Accept", "X"] {
                let (vary, request) = (fields(&[("Vary", name)]), fields(&[(name, &value)]));
                let variant = Variant::of(&request, &vary, 8);
                prop_assert!(variant.is_some_and(|variant| variant.matches(&request)));
            }
        }
    }
}
