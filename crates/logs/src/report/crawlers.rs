//! Crawlers and other programs that name themselves in their agent.

/// What a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A browser, or anything that nothing else is known of.
    Browser,
    /// Visits sites by itself: search engines, AI, SEO, previews, archives.
    Crawler,
    /// Checks whether the site is up.
    Monitor,
    /// A library or a tool for the command line.
    Tool,
}

/// A program known by a part of its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    /// What its agent holds, letter case aside.
    pub(crate) token: &'static str,
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// Who runs it; empty for tools that everybody runs.
    pub(crate) operator: &'static str,
    pub(crate) class: Class,
    /// Whether it feeds or serves an AI model.
    pub(crate) ai: bool,
}

const fn crawler(token: &'static str, name: &'static str, operator: &'static str) -> Program {
    Program { token, name, operator, class: Class::Crawler, ai: false }
}

const fn ai(token: &'static str, operator: &'static str) -> Program {
    Program { token, name: token, operator, class: Class::Crawler, ai: true }
}

const fn monitor(token: &'static str, name: &'static str) -> Program {
    Program { token, name, operator: name, class: Class::Monitor, ai: false }
}

const fn tool(token: &'static str, name: &'static str) -> Program {
    Program { token, name, operator: "", class: Class::Tool, ai: false }
}

/// The programs, from the operators' own documents. Of several that fit, the first counts.
pub(crate) const PROGRAMS: &[Program] = &[
    // AI: training, search and what their users ask for.
    ai("GPTBot", "OpenAI"),
    ai("OAI-SearchBot", "OpenAI"),
    ai("ChatGPT-User", "OpenAI"),
    ai("ClaudeBot", "Anthropic"),
    ai("Claude-User", "Anthropic"),
    ai("Claude-SearchBot", "Anthropic"),
    ai("Claude-Web", "Anthropic"),
    ai("anthropic-ai", "Anthropic"),
    ai("PerplexityBot", "Perplexity"),
    ai("Perplexity-User", "Perplexity"),
    ai("Google-Extended", "Google"),
    ai("GoogleOther", "Google"),
    ai("Google-CloudVertexBot", "Google"),
    ai("Google-NotebookLM", "Google"),
    ai("Gemini-Deep-Research", "Google"),
    ai("Applebot-Extended", "Apple"),
    ai("meta-externalagent", "Meta"),
    ai("meta-externalfetcher", "Meta"),
    ai("FacebookBot", "Meta"),
    ai("Bytespider", "ByteDance"),
    ai("TikTokSpider", "ByteDance"),
    ai("CCBot", "Common Crawl"),
    ai("Amazonbot", "Amazon"),
    ai("cohere-ai", "Cohere"),
    ai("cohere-training-data-crawler", "Cohere"),
    ai("MistralAI-User", "Mistral"),
    ai("DuckAssistBot", "DuckDuckGo"),
    ai("YouBot", "You.com"),
    ai("AI2Bot", "Allen Institute for AI"),
    ai("Diffbot", "Diffbot"),
    ai("ImagesiftBot", "Hive"),
    ai("Timpibot", "Timpi"),
    ai("PanguBot", "Huawei"),
    ai("omgili", "Webz.io"),
    ai("Webzio", "Webz.io"),
    ai("Kangaroo Bot", "Kangaroo LLM"),
    ai("FirecrawlAgent", "Firecrawl"),
    // Search engines.
    crawler("Googlebot-Image", "Googlebot-Image", "Google"),
    crawler("Googlebot-News", "Googlebot-News", "Google"),
    crawler("Googlebot-Video", "Googlebot-Video", "Google"),
    crawler("Googlebot", "Googlebot", "Google"),
    crawler("AdsBot-Google", "AdsBot-Google", "Google"),
    crawler("Mediapartners-Google", "Mediapartners-Google", "Google"),
    crawler("FeedFetcher-Google", "FeedFetcher-Google", "Google"),
    crawler("APIs-Google", "APIs-Google", "Google"),
    crawler("Google-InspectionTool", "Google-InspectionTool", "Google"),
    crawler("Storebot-Google", "Storebot-Google", "Google"),
    crawler("AppEngine-Google", "AppEngine-Google", "Google"),
    crawler("Google-Read-Aloud", "Google-Read-Aloud", "Google"),
    crawler("Google Favicon", "Google Favicon", "Google"),
    crawler("bingbot", "bingbot", "Microsoft"),
    crawler("BingPreview", "BingPreview", "Microsoft"),
    crawler("adidxbot", "adidxbot", "Microsoft"),
    crawler("msnbot", "msnbot", "Microsoft"),
    crawler("Applebot", "Applebot", "Apple"),
    crawler("DuckDuckBot", "DuckDuckBot", "DuckDuckGo"),
    crawler("DuckDuckGo-Favicons-Bot", "DuckDuckGo-Favicons-Bot", "DuckDuckGo"),
    crawler("YandexImages", "YandexImages", "Yandex"),
    crawler("YandexMobileBot", "YandexMobileBot", "Yandex"),
    crawler("YandexBot", "YandexBot", "Yandex"),
    crawler("Yandex", "Yandex", "Yandex"),
    crawler("Baiduspider", "Baiduspider", "Baidu"),
    crawler("Sogou", "Sogou", "Sogou"),
    crawler("360Spider", "360Spider", "Qihoo 360"),
    crawler("YisouSpider", "YisouSpider", "Alibaba"),
    crawler("PetalBot", "PetalBot", "Huawei"),
    crawler("Yahoo! Slurp", "Yahoo! Slurp", "Yahoo"),
    crawler("SeznamBot", "SeznamBot", "Seznam"),
    crawler("Qwantify", "Qwantify", "Qwant"),
    crawler("Qwantbot", "Qwantbot", "Qwant"),
    crawler("NaverBot", "NaverBot", "Naver"),
    crawler("Yeti/", "Yeti", "Naver"),
    crawler("coccocbot", "coccocbot", "Cốc Cốc"),
    crawler("MojeekBot", "MojeekBot", "Mojeek"),
    crawler("Exabot", "Exabot", "Exalead"),
    crawler("ia_archiver", "ia_archiver", "Internet Archive"),
    crawler("archive.org_bot", "archive.org_bot", "Internet Archive"),
    crawler("heritrix", "heritrix", "Internet Archive"),
    // SEO and marketing.
    crawler("AhrefsSiteAudit", "AhrefsSiteAudit", "Ahrefs"),
    crawler("AhrefsBot", "AhrefsBot", "Ahrefs"),
    crawler("SemrushBot", "SemrushBot", "Semrush"),
    crawler("MJ12bot", "MJ12bot", "Majestic"),
    crawler("DotBot", "DotBot", "Moz"),
    crawler("rogerbot", "rogerbot", "Moz"),
    crawler("DataForSeoBot", "DataForSeoBot", "DataForSEO"),
    crawler("BLEXBot", "BLEXBot", "SEO PowerSuite"),
    crawler("serpstatbot", "serpstatbot", "Serpstat"),
    crawler("SEOkicks", "SEOkicks", "SEOkicks"),
    crawler("Barkrowler", "Barkrowler", "Babbar"),
    crawler("Screaming Frog", "Screaming Frog", "Screaming Frog"),
    crawler("BrightEdge", "BrightEdge", "BrightEdge"),
    crawler("Sistrix", "Sistrix", "Sistrix"),
    crawler("ZoominfoBot", "ZoominfoBot", "ZoomInfo"),
    // Previews and feeds.
    crawler("facebookexternalhit", "facebookexternalhit", "Meta"),
    crawler("facebookcatalog", "facebookcatalog", "Meta"),
    crawler("WhatsApp/", "WhatsApp", "Meta"),
    crawler("Twitterbot", "Twitterbot", "X"),
    crawler("LinkedInBot", "LinkedInBot", "LinkedIn"),
    crawler("Slackbot", "Slackbot", "Slack"),
    crawler("Discordbot", "Discordbot", "Discord"),
    crawler("TelegramBot", "TelegramBot", "Telegram"),
    crawler("Pinterestbot", "Pinterestbot", "Pinterest"),
    crawler("SkypeUriPreview", "SkypeUriPreview", "Microsoft"),
    crawler("redditbot", "redditbot", "Reddit"),
    crawler("Embedly", "Embedly", "Embedly"),
    crawler("Feedly", "Feedly", "Feedly"),
    crawler("Feedbin", "Feedbin", "Feedbin"),
    crawler("Tiny Tiny RSS", "Tiny Tiny RSS", ""),
    crawler("UniversalFeedParser", "UniversalFeedParser", ""),
    // Surveys of the net.
    crawler("CensysInspect", "CensysInspect", "Censys"),
    crawler("Expanse", "Expanse", "Palo Alto Networks"),
    crawler("InternetMeasurement", "InternetMeasurement", "driftnet.io"),
    crawler("NetcraftSurveyAgent", "NetcraftSurveyAgent", "Netcraft"),
    crawler("zgrab", "zgrab", ""),
    crawler("masscan", "masscan", ""),
    crawler("Nmap Scripting", "Nmap", ""),
    crawler("Nikto", "Nikto", ""),
    crawler("sqlmap", "sqlmap", ""),
    crawler("Nuclei", "Nuclei", ""),
    // Monitoring.
    monitor("UptimeRobot", "UptimeRobot"),
    monitor("Pingdom", "Pingdom"),
    monitor("StatusCake", "StatusCake"),
    monitor("Site24x7", "Site24x7"),
    monitor("Datadog", "Datadog"),
    monitor("NewRelicPinger", "New Relic"),
    monitor("Better Uptime", "Better Stack"),
    monitor("Blackbox Exporter", "Blackbox Exporter"),
    monitor("check_http", "Nagios"),
    monitor("Zabbix", "Zabbix"),
    monitor("kube-probe", "Kubernetes"),
    monitor("ELB-HealthChecker", "AWS load balancer"),
    monitor("GoogleHC", "Google load balancer"),
    monitor("Amazon-Route53-Health-Check", "AWS Route 53"),
    monitor("Prometheus/", "Prometheus"),
    // Libraries, tools and load generators.
    tool("curl/", "curl"),
    tool("Wget", "Wget"),
    tool("python-requests", "python-requests"),
    tool("python-httpx", "python-httpx"),
    tool("aiohttp", "aiohttp"),
    tool("Python-urllib", "Python-urllib"),
    tool("Scrapy", "Scrapy"),
    tool("Go-http-client", "Go-http-client"),
    tool("okhttp", "okhttp"),
    tool("Apache-HttpClient", "Apache-HttpClient"),
    tool("Java/", "Java"),
    tool("libwww-perl", "libwww-perl"),
    tool("lwp-request", "libwww-perl"),
    tool("PHP/", "PHP"),
    tool("GuzzleHttp", "Guzzle"),
    tool("axios/", "axios"),
    tool("node-fetch", "node-fetch"),
    tool("undici", "undici"),
    tool("got (", "got"),
    tool("Ruby", "Ruby"),
    tool("Faraday", "Faraday"),
    tool("reqwest", "reqwest"),
    tool("PostmanRuntime", "Postman"),
    tool("insomnia/", "Insomnia"),
    tool("HTTPie", "HTTPie"),
    tool("ApacheBench", "ApacheBench"),
    tool("k6/", "k6"),
    tool("Locust", "Locust"),
    tool("tidegate", "tidegate"),
    tool("git/", "Git"),
    tool("Debian APT", "APT"),
    tool("HeadlessChrome", "Headless Chrome"),
    tool("PhantomJS", "PhantomJS"),
];
