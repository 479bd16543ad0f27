//! What a `User-Agent` tells: the program, and the operating system it runs on.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::crawlers::PROGRAMS;

pub use super::crawlers::Class;

/// What an agent says it is. Anybody can say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// Browser, crawler or tool; `Crawler` for one that is not known by name; else `Unknown`.
    pub name: &'static str,
    /// Operating system, or `Unknown`.
    pub os: &'static str,
    /// What kind of program it is.
    pub class: Class,
    /// Who runs it, for crawlers and monitors that are known.
    pub operator: Option<&'static str>,
    /// Whether it feeds or serves an AI model.
    pub ai: bool,
}

/// Name of what is not known.
pub(crate) const UNKNOWN: &str = "Unknown";
/// Name of crawlers that are not in the table.
pub(crate) const OTHER_CRAWLER: &str = "other crawlers";

/// Parts of agents by which crawlers give themselves away.
const CRAWLER_SIGNS: &[&str] =
    &["bot", "crawl", "spider", "slurp", "archiver", "scan", "fetcher", "+http"];

/// Browsers by a part of their agent; since they name each other, the first that fits counts.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Opera", "Opera"),
    ("Vivaldi", "Vivaldi"),
    ("YaBrowser", "Yandex Browser"),
    ("SamsungBrowser", "Samsung Internet"),
    ("UCBrowser", "UC Browser"),
    ("UCWEB", "UC Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Brave/", "Brave"),
    ("Silk/", "Silk"),
    ("MiuiBrowser", "MIUI Browser"),
    ("SeaMonkey", "SeaMonkey"),
    ("PaleMoon", "Pale Moon"),
    ("Iceweasel", "Firefox"),
    ("Focus/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chromium", "Chromium"),
    ("Chrome/", "Chrome"),
    ("MSIE", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    ("Konqueror", "Konqueror"),
    ("Epiphany", "GNOME Web"),
    ("Links (", "Links"),
    ("Lynx/", "Lynx"),
    ("w3m/", "w3m"),
    ("BlackBerry", "BlackBerry"),
    ("Android", "Android Browser"),
    ("Safari/", "Safari"),
    ("AppleWebKit", "Safari"),
    ("Gecko/", "Mozilla"),
    ("Netscape", "Netscape"),
];

/// Operating systems by a part of the agent; the first that fits counts.
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows Phone", "Windows Phone"),
    ("Xbox", "Xbox"),
    ("PlayStation", "PlayStation"),
    ("Nintendo", "Nintendo"),
    ("Android", "Android"),
    ("HarmonyOS", "HarmonyOS"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("iPod", "iOS"),
    ("CrOS", "ChromeOS"),
    ("Tizen", "Tizen"),
    ("Web0S", "webOS"),
    ("KAIOS", "KaiOS"),
    ("BlackBerry", "BlackBerry"),
    ("Windows", "Windows"),
    ("Win32", "Windows"),
    ("Win64", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Darwin", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("NetBSD", "NetBSD"),
    ("DragonFly", "DragonFly BSD"),
    ("SunOS", "Solaris"),
    ("Linux", "Linux"),
    ("X11", "Unix"),
    ("Ubuntu", "Linux"),
];

/// Classifies one `User-Agent`.
#[must_use]
pub fn classify(agent: &[u8]) -> Agent {
    let os = first(&SYSTEM_FINDER, agent).map_or(UNKNOWN, |at| SYSTEMS[at].1);
    if let Some(at) = first(&PROGRAM_FINDER, agent) {
        let program = &PROGRAMS[at];
        let operator = Some(program.operator).filter(|operator| !operator.is_empty());
        return Agent { name: program.name, os, class: program.class, operator, ai: program.ai };
    }
    let is_crawler = first(&SIGN_FINDER, agent).is_some();
    let browser = first(&BROWSER_FINDER, agent).map_or(UNKNOWN, |at| BROWSERS[at].1);
    let (name, class) =
        if is_crawler { (OTHER_CRAWLER, Class::Crawler) } else { (browser, Class::Browser) };
    Agent { name, os, class, operator: None, ai: false }
}

type Finder = LazyLock<Option<AhoCorasick>>;

static PROGRAM_FINDER: Finder =
    LazyLock::new(|| finder(PROGRAMS.iter().map(|program| program.token)));
static SIGN_FINDER: Finder = LazyLock::new(|| finder(CRAWLER_SIGNS.iter().copied()));
static BROWSER_FINDER: Finder = LazyLock::new(|| finder(BROWSERS.iter().map(|(text, _)| *text)));
static SYSTEM_FINDER: Finder = LazyLock::new(|| finder(SYSTEMS.iter().map(|(text, _)| *text)));

fn finder(texts: impl Iterator<Item = &'static str>) -> Option<AhoCorasick> {
    AhoCorasick::builder().ascii_case_insensitive(true).build(texts).ok()
}

/// The place in the table of the first text that `agent` holds.
fn first(finder: &Finder, agent: &[u8]) -> Option<usize> {
    let finder = finder.as_ref()?;
    finder.find_overlapping_iter(agent).map(|found| found.pattern().as_usize()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(agent: &str, name: &str, os: &str, class: Class, operator: Option<&str>, ai: bool) {
        let found = classify(agent.as_bytes());
        assert_eq!((found.name, found.os, found.class), (name, os, class), "{agent}");
        assert_eq!((found.operator, found.ai), (operator, ai), "{agent}");
    }

    #[test]
    fn browsers() {
        for (agent, name, os) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36",
                "Chrome",
                "Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/124.0 Safari/537.36 Edg/124.0",
                "Edge",
                "Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Version/17.4 Mobile/15E148 Safari/604.1",
                "Safari",
                "iOS",
            ),
            (
                "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
                "Firefox",
                "Linux",
            ),
            ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)", "Internet Explorer", "Windows"),
            ("-", "Unknown", "Unknown"),
        ] {
            check(agent, name, os, Class::Browser, None, false);
        }
    }

    #[test]
    fn programs() {
        check(
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "GPTBot",
            UNKNOWN,
            Class::Crawler,
            Some("OpenAI"),
            true,
        );
        check(
            "Mozilla/5.0 (compatible; Applebot-Extended/0.1)",
            "Applebot-Extended",
            UNKNOWN,
            Class::Crawler,
            Some("Apple"),
            true,
        );
        check(
            "Mozilla/5.0 (Macintosh) Applebot/0.1",
            "Applebot",
            "macOS",
            Class::Crawler,
            Some("Apple"),
            false,
        );
        check(
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot",
            UNKNOWN,
            Class::Crawler,
            Some("Google"),
            false,
        );
        check("curl/8.5.0", "curl", UNKNOWN, Class::Tool, None, false);
        check("kube-probe/1.29", "Kubernetes", UNKNOWN, Class::Monitor, Some("Kubernetes"), false);
        check("NewThing-Bot/1.0", OTHER_CRAWLER, UNKNOWN, Class::Crawler, None, false);
    }

    #[test]
    fn no_program_hides_behind_an_earlier_one() {
        for program in PROGRAMS {
            assert_eq!(classify(program.token.as_bytes()).name, program.name);
        }
    }
}
