//! Who is no visitor.

use regex::Regex;
use std::sync::LazyLock;

/// Words in the user agents of crawlers, previews, monitors, headless browsers and HTTP libraries.
/// "bot" and "spider" count at the end of a word only; "cubot" is a maker of phones.
static BOTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = [
        r"(?:^|[^u]|[^c]u)bots?(?:[^a-z]|$)",
        r"spiders?(?:[^a-z]|$)",
        r"crawl|slurp|scrap(?:er|y)|archiver|mediapartners|feedfetcher|feedburner",
        r"facebookexternalhit|whatsapp/|embedly|preview|link ?check|validator",
        r"headless|phantomjs|puppeteer|playwright|selenium|lighthouse|pagespeed|gtmetrix",
        r"monitor|pingdom|uptime|statuscake|site24x7|healthcheck|health-check|kube-probe",
        r"^(?:curl|wget|python|go-http-client|java|okhttp|axios|node-fetch|undici|ruby|perl|php)[ /-]",
        r"^(?:libwww|lwp|apache-httpclient|guzzlehttp|postmanruntime|insomnia|httpie|aiohttp|rust)",
        r"locust|tidegate|^k6/|apachebench|^wrk|^oha/|jmeter|gatling",
    ];
    Regex::new(&format!("(?i:{})", words.join("|"))).ok()
});

/// Whether a user agent is a program rather than a person's browser. No user agent counts as a
/// program: every browser sends one. What is missed dilutes results; what is wrongly found is
/// served all the same and only not counted.
#[must_use]
pub fn is_bot(user_agent: Option<&str>) -> bool {
    match user_agent.map(str::trim) {
        None | Some("") => true,
        Some(agent) => BOTS.as_ref().is_some_and(|bots| bots.is_match(agent)),
    }
}

/// Whether a request is fetched ahead of a visit that may never come: the headers `Sec-Purpose`
/// (Fetch standard: `prefetch`, `prefetch;prerender`), `Purpose` and `X-Moz`.
#[must_use]
pub fn is_prefetch(values: [Option<&str>; 3]) -> bool {
    let mut words = values.into_iter().flatten().flat_map(|value| value.split([';', ',']));
    let ahead = ["prefetch", "prerender", "preview"];
    words.any(|word| ahead.iter().any(|each| word.trim().eq_ignore_ascii_case(each)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_bots() {
        for agent in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/124.0.0.0",
            "curl/8.5.0",
            "python-requests/2.31.0",
            "Go-http-client/1.1",
            "kube-probe/1.29",
            "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
            "GPTBot/1.1",
            "",
            "  ",
        ] {
            assert!(is_bot(Some(agent)), "{agent}");
        }
        assert!(is_bot(None));
    }

    #[test]
    fn browsers_are_not() {
        for agent in [
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/124.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, \
             like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
            "Mozilla/5.0 (Linux; Android 9; CUBOT_X19 Build/PPR1) AppleWebKit/537.36 Chrome/90.0 \
             Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/95.0",
            "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
        ] {
            assert!(!is_bot(Some(agent)), "{agent}");
        }
    }

    #[test]
    fn prefetches_say_so() {
        for values in [
            [Some("prefetch"), None, None],
            [Some("prefetch;prerender"), None, None],
            [Some("prefetch;anonymous-client-ip"), None, None],
            [None, Some("Prefetch"), None],
            [None, None, Some("prefetch")],
            [None, Some("preview"), None],
        ] {
            assert!(is_prefetch(values), "{values:?}");
        }
        assert!(!is_prefetch([None, None, None]));
        assert!(!is_prefetch([Some("navigate"), Some(""), None]));
    }
}
