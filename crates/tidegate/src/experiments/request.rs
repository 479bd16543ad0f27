//! A request as experiments look at it.

use std::borrow::Cow;
use std::net::IpAddr;

use experiment::targeting::{Facts, is_prefetch};
use gateway::Asked;
use percent_encoding::percent_decode_str;
use traffic::Name;

/// Cookies, and parameters of the query, that are looked at.
const PAIRS_MAX: usize = 200;

/// What conditions ask for.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    asked: &'a Asked<'a>,
    country: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// `country_header` is in lower case.
    pub(super) fn new(asked: &'a Asked<'a>, country_header: Option<&str>) -> Request<'a> {
        let value = country_header.and_then(|name| asked.fields.get_named(name));
        let country = value.and_then(|value| std::str::from_utf8(value).ok());
        let is_code = |code: &&str| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
        Request { asked, country: country.map(str::trim).filter(is_code) }
    }

    /// The value of a field, when it is text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.asked.fields.get_named(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All cookies of a name.
    pub(super) fn cookie_texts(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let fields = self.asked.fields.all(Name::Cookie);
        let texts = fields.filter_map(|value| std::str::from_utf8(value).ok());
        let pairs = texts.flat_map(|text| text.split(';')).take(PAIRS_MAX);
        pairs.filter_map(move |pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    }

    /// The first cookie of a name.
    pub(super) fn cookie_text(&self, name: &str) -> Option<&'a str> {
        self.cookie_texts(name).next()
    }

    /// Whether nobody may ever see the answer: it is fetched ahead of a visit, or only its head.
    pub(super) fn is_no_visit(&self) -> bool {
        self.asked.method == "HEAD"
            || is_prefetch(["sec-purpose", "purpose", "x-moz"].map(|it| self.text(it)))
    }

    /// The first parameter of a name, decoded, when it is text.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
        };
        let mut pairs = self.asked.query?.split('&').take(PAIRS_MAX);
        pairs.find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name || decode(key).is_some_and(|key| key == name)).then(|| decode(value))
        })?
    }
}

impl Facts for Request<'_> {
    fn path(&self) -> &str {
        self.asked.path
    }
    fn host(&self) -> &str {
        self.asked.host
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.asked.fields.get_named(name).map(String::from_utf8_lossy)
    }
    fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.cookie_text(name).map(Cow::Borrowed)
    }
    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parameter(name).map(Cow::Owned)
    }
    fn country(&self) -> Option<&str> {
        self.country
    }
    fn client(&self) -> Option<IpAddr> {
        Some(self.asked.client)
    }
}

/// The family of a browser, by its user agent. Most claim to be others too: the order matters.
pub(super) fn browser(user_agent: Option<&str>) -> &'static str {
    let families = [
        ("Edg", "edge"),
        ("OPR/", "opera"),
        ("SamsungBrowser/", "samsung"),
        ("Firefox/", "firefox"),
        ("FxiOS/", "firefox"),
        ("CriOS/", "chrome"),
        ("Chrome/", "chrome"),
        ("Safari/", "safari"),
    ];
    let agent = user_agent.unwrap_or_default();
    let found = families.iter().find(|(mark, _)| agent.contains(mark));
    found.map_or("other", |(_, family)| family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use traffic::Fields;

    #[test]
    fn cookies_parameters_and_country() {
        let mut fields = Fields::new();
        fields.push(b"cookie", b"a=1; uid=x.y ; b");
        fields.push(b"cookie", b"c=\"3\"; uid=other");
        fields.push(b"x-country", b"DE");
        let asked = Asked {
            method: "GET",
            scheme: "http",
            host: "h",
            path: "/p",
            query: Some("q=a+b%20c&v=%0d%0aX&empty&bin=%ff&bin=x"),
            fields: &fields,
            client: IpAddr::from([127, 0, 0, 1]),
            unix_us: 0,
            upstreams: &[],
        };
        let request = Request::new(&asked, Some("x-country"));
        assert_eq!(request.cookie_text("uid"), Some("x.y"));
        assert!(request.cookie_texts("uid").eq(["x.y", "other"]));
        assert_eq!(request.cookie_text("c"), Some("3"));
        assert_eq!(request.cookie_text("b"), None);
        assert_eq!(request.parameter("q").as_deref(), Some("a b c"));
        assert_eq!(request.parameter("v").as_deref(), Some("\r\nX"));
        assert_eq!(request.parameter("empty").as_deref(), Some(""));
        assert_eq!(request.parameter("bin"), None, "what is no text is no id");
        assert_eq!(request.country(), Some("DE"));
        assert_eq!(Request::new(&asked, Some("cookie")).country(), None);
    }

    #[test]
    fn browsers_by_their_own_mark() {
        let chrome =
            "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36";
        assert_eq!(browser(Some(chrome)), "chrome");
        assert_eq!(browser(Some(&format!("{chrome} Edg/124.0"))), "edge");
        assert_eq!(browser(Some("Mozilla/5.0 (Macintosh) Version/17.4 Safari/605.1.15")), "safari");
        assert_eq!(browser(None), "other");
    }
}
