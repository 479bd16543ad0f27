//! `Cache-Control` of responses and requests (RFC 9111 section 5.2), and `CDN-Cache-Control`
//! (RFC 9213) in its place.

use traffic::{Fields, Name};

use super::structured::{Bare, dictionary};

/// Longest time that is reckoned with, in seconds: 2^31 (RFC 9111 section 1.2.2).
pub const SECONDS_MAX: u32 = 1 << 31;

/// Most field names in one `no-cache="…"` or `private="…"`; with more it holds for everything.
pub const LISTED_MAX: usize = 64;

/// What a response says about keeping it. Unknown directives are left out; of a directive that
/// is there several times, the most restrictive counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// Keep nothing.
    pub no_store: bool,
    /// Ask before each use.
    pub no_cache: bool,
    /// For one user only.
    pub private: bool,
    /// For everybody.
    pub public: bool,
    /// Never use it stale.
    pub must_revalidate: bool,
    /// Never use it stale: for shared caches.
    pub proxy_revalidate: bool,
    /// Keep it only if the status is understood.
    pub must_understand: bool,
    /// Seconds of freshness for shared caches; what is not a number is zero.
    pub s_maxage: Option<u32>,
    /// Seconds of freshness; what is not a number is zero.
    pub max_age: Option<u32>,
    /// RFC 5861; what is not a number is left out.
    pub stale_while_revalidate: Option<u32>,
    /// RFC 5861; what is not a number is left out.
    pub stale_if_error: Option<u32>,
    /// Fields named by `no-cache="…"` and `private="…"`: not to be kept. In lower case.
    pub unkept: Vec<Vec<u8>>,
    /// From `CDN-Cache-Control`: `Cache-Control` and `Expires` do not count.
    pub targeted: bool,
}

impl ResponseDirectives {
    /// Reads the fields of a response.
    pub fn of(fields: &Fields) -> ResponseDirectives {
        ResponseDirectives::targeted(fields).unwrap_or_else(|| {
            let mut directives = ResponseDirectives::default();
            for value in fields.all(Name::CacheControl) {
                each(value, |name, argument| directives.add(name, &argument));
            }
            directives
        })
    }

    /// `CDN-Cache-Control`, when there is one that is a dictionary and not empty.
    fn targeted(fields: &Fields) -> Option<ResponseDirectives> {
        if !fields.has(Name::CdnCacheControl) {
            return None;
        }
        let lines: Vec<&[u8]> = fields.all(Name::CdnCacheControl).collect();
        let members = dictionary(&lines.join(&b", "[..])).filter(|members| !members.is_empty())?;
        let mut directives = ResponseDirectives { targeted: true, ..Default::default() };
        for (name, value) in members {
            let argument = match value {
                Bare::True => Argument::None,
                Bare::Integer(number) => Argument::Bare(number.to_string().into_bytes()),
                Bare::Text(text) => Argument::Quoted(text),
                // Of the wrong type: as if it were not there (RFC 9213 section 2.1).
                Bare::Other => continue,
            };
            let wants_seconds = name.ends_with(b"age") || name.starts_with(b"stale-");
            if wants_seconds && !matches!(argument, Argument::Bare(_)) {
                continue;
            }
            directives.add(&name, &argument);
        }
        Some(directives)
    }

    fn add(&mut self, name: &[u8], argument: &Argument) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let sooner = |old: Option<u32>, new: u32| Some(old.map_or(new, |old| old.min(new)));
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache |= !self.unkeep(argument);
        } else if is("private") {
            self.private |= !self.unkeep(argument);
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("s-maxage") {
            self.s_maxage = sooner(self.s_maxage, argument.seconds().unwrap_or(0));
        } else if is("max-age") {
            self.max_age = sooner(self.max_age, argument.seconds().unwrap_or(0));
        } else if let Some(seconds) = argument.seconds() {
            if is("stale-while-revalidate") {
                self.stale_while_revalidate = sooner(self.stale_while_revalidate, seconds);
            } else if is("stale-if-error") {
                self.stale_if_error = sooner(self.stale_if_error, seconds);
            }
        }
    }

    /// Takes the names in an argument; false when it names none, cannot be understood, or names
    /// fields without which the response means something else: then the directive is for all.
    fn unkeep(&mut self, argument: &Argument) -> bool {
        let text = match argument {
            Argument::None | Argument::Broken => return false,
            Argument::Bare(text) | Argument::Quoted(text) => text.to_ascii_lowercase(),
        };
        let names: Vec<&[u8]> = text
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty())
            .collect();
        let usable = !names.is_empty()
            && self.unkept.len() + names.len() <= LISTED_MAX
            && names.iter().all(|name| is_token(name) && !is_essential(name));
        if usable {
            self.unkept.extend(names.into_iter().map(<[u8]>::to_vec));
        }
        usable
    }
}

/// What a request says about the answers it takes (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// Ask the origin.
    pub no_cache: bool,
    /// Keep nothing of this exchange.
    pub no_store: bool,
    /// Do not ask the origin.
    pub only_if_cached: bool,
    /// Oldest answer, in seconds.
    pub max_age: Option<u32>,
    /// Seconds that it must stay fresh.
    pub min_fresh: Option<u32>,
    /// Seconds that it may be stale; [`SECONDS_MAX`] when any.
    pub max_stale: Option<u32>,
}

impl RequestDirectives {
    /// Reads the fields of a request; `Pragma` when there is no `Cache-Control`.
    pub fn of(fields: &Fields) -> RequestDirectives {
        let mut directives = RequestDirectives::default();
        if !fields.has(Name::CacheControl) {
            directives.no_cache =
                fields.members(Name::Pragma).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        for value in fields.all(Name::CacheControl) {
            each(value, |name, argument| directives.add(name, &argument));
        }
        directives
    }

    fn add(&mut self, name: &[u8], argument: &Argument) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            let seconds = argument.seconds().unwrap_or(0);
            self.max_age = Some(self.max_age.map_or(seconds, |old| old.min(seconds)));
        } else if is("min-fresh") {
            let seconds = argument.seconds().unwrap_or(SECONDS_MAX);
            self.min_fresh = Some(self.min_fresh.map_or(seconds, |old| old.max(seconds)));
        } else if is("max-stale") {
            let seconds = match argument {
                Argument::None => SECONDS_MAX,
                argument => argument.seconds().unwrap_or(0),
            };
            self.max_stale = Some(self.max_stale.map_or(seconds, |old| old.min(seconds)));
        }
    }
}

/// What stands after the `=` of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    None,
    Bare(Vec<u8>),
    Quoted(Vec<u8>),
    /// White space around `=`, an open quote, or text after one.
    Broken,
}

impl Argument {
    /// Digits, quoted or not, at most [`SECONDS_MAX`].
    fn seconds(&self) -> Option<u32> {
        match self {
            Argument::Bare(text) | Argument::Quoted(text) => delta_seconds(text),
            Argument::None | Argument::Broken => None,
        }
    }
}

/// Digits and nothing else, at most [`SECONDS_MAX`].
pub(super) fn delta_seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text
        .iter()
        .fold(0_u64, |sum, digit| (sum * 10 + u64::from(digit - b'0')).min(u64::from(SECONDS_MAX)));
    u32::try_from(value).ok()
}

/// Calls `see` with each directive of a list. Commas within quotes do not part directives.
fn each(value: &[u8], mut see: impl FnMut(&[u8], Argument)) {
    for member in split_list(value) {
        let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
            see(member, Argument::None);
            continue;
        };
        let (name, argument) = (&member[..equals], &member[equals + 1..]);
        see(name.trim_ascii_end(), argument_of(name, argument));
    }
}

fn argument_of(name: &[u8], text: &[u8]) -> Argument {
    let spaced = |text: &[u8]| text.first().is_some_and(u8::is_ascii_whitespace);
    if name.last().is_some_and(u8::is_ascii_whitespace) || spaced(text) {
        return Argument::Broken;
    }
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return Argument::Bare(text.to_vec());
    };
    let (mut unescaped, mut bytes) = (Vec::new(), quoted.iter().copied());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if bytes.len() == 0 => return Argument::Quoted(unescaped),
            b'"' => return Argument::Broken,
            b'\\' => unescaped.extend(bytes.next()),
            byte => unescaped.push(byte),
        }
    }
    Argument::Broken
}

/// Members of a comma-separated list, trimmed, empty ones left out; a comma within a quoted
/// string belongs to it.
pub(super) fn split_list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |byte| {
            let separator = *byte == b',' && !quoted;
            if escaped {
                escaped = false;
            } else if quoted && *byte == b'\\' {
                escaped = true;
            } else if *byte == b'"' {
                quoted = !quoted;
            }
            separator
        })
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

fn is_token(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Fields that say what the body is or how long the response may be used (in lower case).
fn is_essential(name: &[u8]) -> bool {
    name.starts_with(b"content-")
        || [&b"vary"[..], b"cache-control", b"cdn-cache-control", b"expires", b"date", b"location"]
            .contains(&name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(lines: &[&str]) -> ResponseDirectives {
        ResponseDirectives::of(&lines.iter().map(|line| ("Cache-Control", *line)).collect())
    }

    #[test]
    fn seconds_are_digits_quoted_or_not() {
        for (text, expected) in [
            ("max-age=3600", Some(3_600)),
            ("MaX-aGe=3600", Some(3_600)),
            ("max-age=\"3600\"", Some(3_600)),
            ("max-age=003600", Some(3_600)),
            ("max-age=2147483647", Some((1 << 31) - 1)),
            ("max-age=99999999999999999999999", Some(SECONDS_MAX)),
            ("foobar, max-age=3600", Some(3_600)),
            ("max-age='3600'", Some(0)),
            ("max-age=-3600", Some(0)),
            ("max-age=3600.0", Some(0)),
            ("max-age=a3600", Some(0)),
            ("max-age=3600a", Some(0)),
            ("max-age =3600", Some(0)),
            ("max-age= 3600", Some(0)),
            ("max-age=\"36", Some(0)),
            ("max-age", Some(0)),
            ("max-age=1, max-age=1800", Some(1)),
            ("max-age=1800, max-age=1", Some(1)),
            ("extension=\"max-age=3600\", max-age=1", Some(1)),
            ("max-age=1, extension=\"a, max-age=3600, \\\"b\"", Some(1)),
            ("extension=\"max-age=3600\"", None),
            ("xmax-age=5", None),
        ] {
            assert_eq!(response(&[text]).max_age, expected, "{text}");
        }
        assert_eq!(response(&["max-age=3600", "s-maxage=1"]).s_maxage, Some(1));
    }

    #[test]
    fn named_fields_are_left_out_and_anything_doubtful_is_for_all() {
        let some = response(&["no-cache=\"a, B\"", "private=\"set-cookie\", max-age=3"]);
        assert!(!some.no_cache && !some.private);
        assert_eq!(some.unkept, [&b"a"[..], b"b", b"set-cookie"]);
        for text in [
            "private",
            "PRIVATE",
            "private=",
            "private=\"\"",
            "private=\"a",
            "private=\"a b\"",
            "private=\"a\"b",
            "private=\"content-type\"",
            "private=\"a\", private",
        ] {
            assert!(response(&[text]).private, "{text}");
        }
        assert!(response(&["No-CaChE, no-STORE"]).no_store);
    }

    #[test]
    fn a_targeted_field_replaces_cache_control_when_it_is_one() {
        let fields = |cdn| -> Fields {
            [("Cache-Control", "no-store"), ("CDN-Cache-Control", cdn)].into_iter().collect()
        };
        let directives = ResponseDirectives::of(&fields("max-age=60, private=\"a\""));
        assert!(directives.targeted && !directives.no_store && directives.max_age == Some(60));
        let wrong_type = ResponseDirectives::of(&fields("max-age=\"60\", s-maxage=5.5, no-cache"));
        assert!(wrong_type.no_cache && wrong_type.max_age.is_none());
        assert!(wrong_type.s_maxage.is_none());
        for invalid in ["max-age=60,", "", "Max-Age=60", "max-age='60'"] {
            let directives = ResponseDirectives::of(&fields(invalid));
            assert!(!directives.targeted && directives.no_store, "{invalid}");
        }
        let negative = ResponseDirectives::of(&fields("max-age=-1"));
        assert_eq!(negative.max_age, Some(0));
    }

    #[test]
    fn requests_are_read() {
        let request = |name, value| RequestDirectives::of(&[(name, value)].into_iter().collect());
        assert!(request("Pragma", "x, No-Cache").no_cache);
        assert!(!request("Pragma", "foo").no_cache);
        assert_eq!(request("Cache-Control", "max-stale").max_stale, Some(SECONDS_MAX));
        assert_eq!(request("Cache-Control", "max-stale=x").max_stale, Some(0));
        assert_eq!(request("Cache-Control", "min-fresh=x").min_fresh, Some(SECONDS_MAX));
        assert_eq!(request("Cache-Control", "max-age=5, only-if-cached").max_age, Some(5));
        let both: Fields = [("Pragma", "no-cache"), ("Cache-Control", "x")].into_iter().collect();
        assert_eq!(RequestDirectives::of(&both), RequestDirectives::default());
    }

    proptest! {
        #[test]
        fn more_directives_never_permit_more(
            one in "(max-age=[0-9]{1,3}|s-maxage=[0-9]{1,3}|no-store|private|no-cache)",
            junk in "[a-z=,\" \\\\0-9]{0,30}",
        ) {
            let (few, many) = (response(&[&one]), response(&[&one, &junk]));
            prop_assert!(many.no_store >= few.no_store && many.private >= few.private);
            prop_assert!(many.no_cache >= few.no_cache);
            prop_assert!(few.max_age.is_none() || many.max_age <= few.max_age);
            prop_assert!(few.s_maxage.is_none() || many.s_maxage <= few.s_maxage);
        }
    }
}
