//! Flags that several verbs share: what to load, how requests travel, what must hold.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use config::{
    BurstSettings, Errors, Host, LoadSettings, LoadStage, Preset, ScenarioFile, UrlRequest,
    parse_connect_to, parse_wait, read_scenario, scenario_of_url,
};
use load::params::{ConnectTo, DnsPolicy, HttpVersion, PrometheusWatch};
use policy::{ArrivalKind, Wait};
use traffic::Rate;
use traffic::units::parse_duration;

/// How much load, and for how long. Names follow Locust.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadFlags {
    /// Host to test, as a URL; replaces the host of the scenario
    #[arg(short = 'H', long, value_name = "URL")]
    pub(crate) host: Option<Host>,
    /// Users at the peak; with --rate, most requests in flight
    #[arg(short, long, value_name = "N")]
    pub(crate) users: Option<u32>,
    /// Users started per second
    #[arg(short = 'r', long, value_name = "RATE")]
    pub(crate) spawn_rate: Option<Rate>,
    /// How long to run: 20, 20s, 3m, 1h20m
    #[arg(short = 't', long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) run_time: Option<Duration>,
    /// Arrivals per second that do not wait for answers, such as 200/s
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<Rate>,
    /// How arrivals are spread
    #[arg(long, value_name = "KIND")]
    pub(crate) arrivals: Option<Spread>,
    /// Stop after so many requests
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) requests: Option<u64>,
    /// Move to a target within a time: 100:30s for users, 200/s:30s for a rate; repeatable
    #[arg(long = "stage", value_name = "TARGET:TIME")]
    pub(crate) stages: Vec<LoadStage>,
    /// A ready-made load: light, medium, heavy or stress
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<Preset>,
    /// So many requests at once, repeated, with a pause between: 100x5 or 100x5:5s..15s
    #[arg(long, value_name = "SIZExCYCLES")]
    pub(crate) burst: Option<BurstSettings>,
    /// Wait between tasks: 2s, 1s..4s, pacing:5s or throughput:0.5/s
    #[arg(long, value_name = "WAIT", value_parser = wait_or_pacing)]
    pub(crate) wait: Option<Wait>,
    /// How long requests under way may go on after the end
    #[arg(short = 's', long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) stop_timeout: Option<Duration>,
    /// Worker threads; by default one per core
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Seed of every random choice
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// How requests travel.
#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpFlags {
    /// Method of the request, with a URL
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Header field, `Name: value`; repeatable
    #[arg(long = "header", value_name = "FIELD")]
    pub(crate) headers: Vec<String>,
    /// Body of the request, with a URL; @FILE reads a file
    #[arg(long, value_name = "TEXT")]
    pub(crate) body: Option<String>,
    /// HTTP/2 instead of HTTP/1.1
    #[arg(long)]
    pub(crate) http2: bool,
    /// A new connection for every request
    #[arg(long)]
    pub(crate) no_keep_alive: bool,
    /// Close a connection after so many requests
    #[arg(long, value_name = "N")]
    pub(crate) requests_per_connection: Option<u32>,
    /// Close a connection after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) connection_age: Option<Duration>,
    /// Follow so many redirects; 0 follows none
    #[arg(long, value_name = "N")]
    pub(crate) redirects: Option<u8>,
    /// Do not keep cookies
    #[arg(long)]
    pub(crate) no_cookies: bool,
    /// Offer gzip, br and zstd
    #[arg(long)]
    pub(crate) compressed: bool,
    /// Time for a whole request
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Time to connect, TLS included
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Time to the first byte of the response
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) response_timeout: Option<Duration>,
    /// Connect to host:port or unix:/path instead of the host of the URL
    #[arg(long, value_name = "PLACE", value_parser = parse_connect_to)]
    pub(crate) connect_to: Option<ConnectTo>,
    /// Look host names up for every connection
    #[arg(long)]
    pub(crate) dns_per_connection: bool,
    /// Trust these certificate authorities (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Client certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Server name to ask for and check
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,
    /// Accept any certificate
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// What else to observe.
#[derive(Debug, Args)]
#[command(next_help_heading = "Watching the target")]
pub(crate) struct WatchFlags {
    /// Sample CPU and memory of this process; repeatable
    #[arg(long = "watch-pid", value_name = "PID")]
    pub(crate) watch_pids: Vec<u32>,
    /// Scrape this metrics page once a second; repeatable
    #[arg(long = "watch-prometheus", value_name = "URL")]
    pub(crate) watch_prometheus: Vec<String>,
    /// Series to keep of the metrics pages; repeatable
    #[arg(long = "watch-series", value_name = "NAME")]
    pub(crate) watch_series: Vec<String>,
}

/// How arrivals of an open model are spread.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Spread {
    /// Evenly
    Deterministic,
    /// At random, as independent users come
    Poisson,
}

/// Reads `2s`, `1s..4s`, `pacing:5s` or `throughput:0.5/s`.
fn wait_or_pacing(text: &str) -> Result<Wait, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    if let Some(period) = text.strip_prefix("pacing:") {
        return parse_duration(period).map(Wait::Pacing).map_err(|error| words(&error));
    }
    if let Some(rate) = text.strip_prefix("throughput:") {
        let rate: Rate = rate.parse().map_err(|error| words(&error))?;
        if rate.as_per_s() <= 0.0 {
            return Err("a throughput must be above zero".to_owned());
        }
        return Ok(Wait::Throughput(rate.as_per_s()));
    }
    parse_wait(text).map_err(|error| words(&error))
}

/// What to load, and how, as the flags say it.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) load: LoadFlags,
    #[command(flatten)]
    pub(crate) http: HttpFlags,
    #[command(flatten)]
    pub(crate) watch: WatchFlags,
}

impl Flags {
    /// The settings that flags set.
    pub(crate) fn settings(&self) -> LoadSettings {
        let (load, http, watch) = (&self.load, &self.http, &self.watch);
        let when = |set: bool| set.then_some(true);
        LoadSettings {
            host: load.host.clone(),
            wait: load.wait,
            users: load.users,
            spawn_rate: load.spawn_rate,
            run_time: load.run_time,
            rate: load.rate,
            requests: load.requests,
            stages: load.stages.clone(),
            preset: load.preset,
            burst: load.burst,
            arrivals: load.arrivals.map(|spread| match spread {
                Spread::Deterministic => ArrivalKind::Deterministic,
                Spread::Poisson => ArrivalKind::Poisson,
            }),
            seed: load.seed,
            workers: load.workers,
            drain: load.stop_timeout,
            connect_timeout: http.connect_timeout,
            response_timeout: http.response_timeout,
            total_timeout: http.timeout,
            http_version: http.http2.then_some(HttpVersion::Http2),
            keep_alive: http.no_keep_alive.then_some(false),
            requests_per_connection: http.requests_per_connection,
            connection_age: http.connection_age,
            redirects: http.redirects,
            cookies: http.no_cookies.then_some(false),
            compression: when(http.compressed),
            dns: http.dns_per_connection.then_some(DnsPolicy::PerConnection),
            connect_to: http.connect_to.clone(),
            ca: http.cacert.clone(),
            cert: http.cert.clone(),
            key: http.key.clone(),
            server_name: http.sni.clone(),
            insecure: when(http.insecure),
            watch_pids: watch.watch_pids.clone(),
            watch_prometheus: watch
                .watch_prometheus
                .iter()
                .map(|url| PrometheusWatch { url: url.clone(), series: watch.watch_series.clone() })
                .collect(),
            ..LoadSettings::default()
        }
    }

    /// The scenario of `target`: that of a file, or one request when it is a URL.
    ///
    /// # Errors
    /// Everything that is wrong with the file or the request.
    pub(crate) fn scenario(&self, target: &str) -> Result<ScenarioFile, Errors> {
        let path = Path::new(target);
        if !target.contains("://") && (target.ends_with(".toml") || path.is_file()) {
            return read_scenario(path);
        }
        let http = &self.http;
        let file = http.body.as_deref().and_then(|body| body.strip_prefix('@')).map(Path::new);
        scenario_of_url(&UrlRequest {
            url: target,
            method: http.method.as_deref(),
            headers: http
                .headers
                .iter()
                .map(|field| field.split_once(':').unwrap_or((field, "")))
                .map(|(name, value)| (name.trim(), value.trim()))
                .collect(),
            body: if file.is_some() { None } else { http.body.as_deref() },
            body_file: file,
            basic: None,
        })
    }
}
