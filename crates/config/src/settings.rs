//! How a scenario is run, as far as somebody said it: by flags or in the file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use load::params::{ConnectTo, DnsPolicy, HttpVersion, PrometheusWatch};
use load::slo::Objective;
use miette::SourceSpan;
use policy::{ArrivalKind, Wait};
use traffic::Rate;
use traffic::units::parse_duration;

use crate::errors::SourceFile;
use crate::host::{Host, ValueError};

/// Where settings stand in a file, for errors that are found later. Empty for flags.
#[derive(Debug, Clone, Default)]
pub struct Places {
    pub(crate) file: Option<Arc<SourceFile>>,
    pub(crate) spans: BTreeMap<&'static str, SourceSpan>,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident ($key:literal): $type:ty;)*) => {
        /// Settings of a run; every one may be missing. The command line builds one value from
        /// flags, a scenario file gives another, and [`LoadSettings::or`] joins them.
        #[derive(Debug, Clone, Default)]
        pub struct LoadSettings {
            $($(#[doc = $doc])+ pub $field: $type,)*
            /// Where the settings stand in the file.
            pub places: Places,
        }

        impl LoadSettings {
            /// These settings, and those of `file` where these say nothing.
            ///
            /// Another load model (`rate`, `stages`, `preset` or `burst`) replaces the model of
            /// the file as a whole: a rate on the command line does not keep the file's users.
            /// Stages, presets and bursts bring their own length and so replace the run time too.
            pub fn or(self, file: LoadSettings) -> LoadSettings {
                let mut file = self.without_replaced_model(file);
                $(if self.$field.is_set() { file.places.spans.remove($key); })*
                LoadSettings {
                    $($field: if self.$field.is_set() { self.$field } else { file.$field },)*
                    places: file.places,
                }
            }
        }
    };
}

settings! {
    /// Where requests go.
    host ("host"): Option<Host>;
    /// The wait between tasks; overrides that of the scenario.
    wait ("wait"): Option<Wait>;
    /// Virtual users; in an open model, the most requests in flight.
    users ("users"): Option<u32>;
    /// Users started per second.
    spawn_rate ("spawn-rate"): Option<Rate>;
    /// When the run ends.
    run_time ("run-time"): Option<Duration>;
    /// Arrivals per second of an open model.
    rate ("rate"): Option<Rate>;
    /// End after so many requests.
    requests ("requests"): Option<u64>;
    /// Users or arrivals over time.
    stages ("stages"): Vec<LoadStage>;
    /// A ready-made open model.
    preset ("preset"): Option<Preset>;
    /// Bursts of requests.
    burst ("burst"): Option<BurstSettings>;
    /// How arrivals of an open model are spread.
    arrivals ("arrivals"): Option<ArrivalKind>;
    /// Seed of every random choice.
    seed ("seed"): Option<u64>;
    /// Worker threads.
    workers ("workers"): Option<usize>;
    /// How long requests under way may go on after the end (Locust's stop timeout).
    drain ("drain"): Option<Duration>;
    /// Until a connection stands.
    connect_timeout ("timeout.connect"): Option<Duration>;
    /// Until the first byte of a response.
    response_timeout ("timeout.response"): Option<Duration>;
    /// Until the last byte of a response.
    total_timeout ("timeout.total"): Option<Duration>;
    /// Most bytes of status line and header.
    head_limit ("limits.head"): Option<u64>;
    /// Most bytes of a body that is only counted.
    body_limit ("limits.body"): Option<u64>;
    /// Most bytes of a body that is kept for checks.
    kept_body_limit ("limits.kept-body"): Option<u64>;
    /// Protocol version.
    http_version ("version"): Option<HttpVersion>;
    /// Whether connections stay open between requests.
    keep_alive ("keep-alive"): Option<bool>;
    /// Requests per connection.
    requests_per_connection ("requests-per-connection"): Option<u32>;
    /// Age at which a connection is closed.
    connection_age ("connection-age"): Option<Duration>;
    /// Most redirects followed per request.
    redirects ("redirects"): Option<u8>;
    /// Whether users keep cookies.
    cookies ("cookies"): Option<bool>;
    /// Whether to offer compression.
    compression ("compression"): Option<bool>;
    /// `User-Agent`.
    user_agent ("user-agent"): Option<String>;
    /// When host names are looked up.
    dns ("dns"): Option<DnsPolicy>;
    /// Connect here instead of to the host.
    connect_to ("connect-to"): Option<ConnectTo>;
    /// PEM file of certificate authorities.
    ca ("ca"): Option<PathBuf>;
    /// PEM file of the client certificate.
    cert ("cert"): Option<PathBuf>;
    /// PEM file of the client's key.
    key ("key"): Option<PathBuf>;
    /// Server name to ask for and to check.
    server_name ("server-name"): Option<String>;
    /// Accept any certificate.
    insecure ("insecure"): Option<bool>;
    /// What must hold.
    slo ("slo"): Vec<Objective>;
    /// Processes to observe.
    watch_pids ("pids"): Vec<u32>;
    /// Metrics to observe.
    watch_prometheus ("prometheus"): Vec<PrometheusWatch>;
}

impl LoadSettings {
    /// The settings of a file, less the load model that these replace.
    fn without_replaced_model(&self, mut file: LoadSettings) -> LoadSettings {
        let brings_length =
            !self.stages.is_empty() || self.preset.is_some() || self.burst.is_some();
        // Users for a file of user stages or bursts are another model; for a file of arrivals
        // they are the cap.
        let users_replace = (self.users.is_some() || self.spawn_rate.is_some())
            && (file.burst.is_some()
                || matches!(file.stages.first(), Some(LoadStage { target: Level::Users(_), .. })));
        if brings_length || self.rate.is_some() || users_replace {
            file.users = None;
            file.spawn_rate = None;
            file.rate = None;
            file.stages = Vec::new();
            file.preset = None;
            file.burst = None;
            for key in ["users", "spawn-rate", "rate", "stages", "preset", "burst"] {
                file.places.spans.remove(key);
            }
            if self.burst.is_some() || users_replace {
                file.arrivals = None;
                file.places.spans.remove("arrivals");
            }
        }
        if brings_length {
            file.run_time = None;
            file.places.spans.remove("run-time");
        }
        file
    }
}

/// Whether somebody said it.
trait IsSet {
    fn is_set(&self) -> bool;
}

impl<T> IsSet for Option<T> {
    fn is_set(&self) -> bool {
        self.is_some()
    }
}

impl<T> IsSet for Vec<T> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

/// The level that a stage leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Level {
    /// So many users.
    Users(u32),
    /// So many arrivals per second.
    Rate(Rate),
}

/// A stage of a load model: move to `target` within `duration`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadStage {
    /// Level at the end.
    pub target: Level,
    /// Length; zero jumps.
    pub duration: Duration,
}

impl FromStr for LoadStage {
    type Err = ValueError;

    /// Reads `100:30s` (users) or `100/s:30s` (arrivals).
    fn from_str(text: &str) -> Result<LoadStage, ValueError> {
        let fail = |problem: String| ValueError(format!("`{text}` is not a stage: {problem}"));
        let (target, duration) = text.split_once(':').ok_or_else(|| {
            fail("write users or a rate, a colon and a duration: `100:30s`".to_owned())
        })?;
        let target = if target.contains('/') {
            Level::Rate(
                target.parse().map_err(|error: traffic::UnitError| fail(error.to_string()))?,
            )
        } else {
            let users = target.trim().parse();
            Level::Users(users.map_err(|_| fail(format!("`{target}` is not a number of users")))?)
        };
        let duration = parse_duration(duration).map_err(|error| fail(error.to_string()))?;
        Ok(LoadStage { target, duration })
    }
}

/// A ready-made open model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// 10 connections, 60 s, 5/s.
    Light,
    /// 50 connections, 120 s, 50/s.
    Medium,
    /// 100 connections, 300 s, 200/s.
    Heavy,
    /// 500 connections, 60 s, 500/s.
    Stress,
}

impl Preset {
    /// Every preset and its name.
    pub const ALL: [(&'static str, Preset); 4] = [
        ("light", Preset::Light),
        ("medium", Preset::Medium),
        ("heavy", Preset::Heavy),
        ("stress", Preset::Stress),
    ];

    /// Most requests in flight, run time, and arrivals per second.
    pub fn values(self) -> (u32, Duration, f64) {
        let (users, seconds, per_s) = match self {
            Preset::Light => (10, 60, 5.0),
            Preset::Medium => (50, 120, 50.0),
            Preset::Heavy => (100, 300, 200.0),
            Preset::Stress => (500, 60, 500.0),
        };
        (users, Duration::from_secs(seconds), per_s)
    }
}

impl FromStr for Preset {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Preset, ValueError> {
        let found = Preset::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, preset)| *preset).ok_or_else(|| {
            ValueError(format!("`{text}` is no preset; use light, medium, heavy or stress"))
        })
    }
}

/// Bursts of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BurstSettings {
    /// Requests that start together.
    pub size: u32,
    /// Number of bursts; 1 when not given.
    pub cycles: Option<u32>,
    /// Shortest and longest pause between bursts; 5 s and 15 s when not given.
    pub pause: Option<(Duration, Duration)>,
}

impl FromStr for BurstSettings {
    type Err = ValueError;

    /// Reads `500`, `500x10` (size and cycles) or `500x10:5s..15s` (and the pause between).
    fn from_str(text: &str) -> Result<BurstSettings, ValueError> {
        let fail = || {
            ValueError(format!(
                "`{text}` is not a burst such as `500`, `500x10` or `500x10:5s..15s`"
            ))
        };
        let (count, pause) = match text.split_once(':') {
            Some((count, pause)) => (count, Some(parse_range(pause)?)),
            None => (text, None),
        };
        let (size, cycles) = match count.split_once('x') {
            Some((size, cycles)) => (size, Some(cycles.trim().parse().map_err(|_| fail())?)),
            None => (count, None),
        };
        Ok(BurstSettings { size: size.trim().parse().map_err(|_| fail())?, cycles, pause })
    }
}

/// Reads `1s..4s`, or `2s` for a range of one length.
fn parse_range(text: &str) -> Result<(Duration, Duration), ValueError> {
    let duration = |text| parse_duration(text).map_err(|error| ValueError(error.to_string()));
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let (low, high) = (duration(low)?, duration(high)?);
    if low > high {
        return Err(ValueError(format!("`{text}`: the low end is above the high end")));
    }
    Ok((low, high))
}

/// Reads the wait of a flag: `2s` is constant, `1s..4s` is between.
///
/// # Errors
/// [`ValueError`] when it is neither, or the low end is above the high end.
pub fn parse_wait(text: &str) -> Result<Wait, ValueError> {
    let (low, high) = parse_range(text)?;
    Ok(if low == high { Wait::Constant(low) } else { Wait::Between(low, high) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_s(rate: f64) -> Rate {
        Rate::per_s(rate).unwrap()
    }

    #[test]
    fn flags_win_and_another_model_replaces_the_files() {
        let file = LoadSettings {
            users: Some(400),
            spawn_rate: Some(per_s(10.0)),
            run_time: Some(Duration::from_secs(300)),
            seed: Some(7),
            ..LoadSettings::default()
        };
        let more = LoadSettings { users: Some(5), ..LoadSettings::default() }.or(file.clone());
        assert_eq!((more.users, more.spawn_rate, more.seed), (Some(5), Some(per_s(10.0)), Some(7)));
        let rate =
            LoadSettings { rate: Some(per_s(9.0)), ..LoadSettings::default() }.or(file.clone());
        assert_eq!((rate.users, rate.spawn_rate, rate.rate), (None, None, Some(per_s(9.0))));
        assert_eq!(rate.run_time, Some(Duration::from_secs(300)));
        let preset =
            LoadSettings { preset: Some(Preset::Light), ..LoadSettings::default() }.or(file);
        assert_eq!((preset.users, preset.run_time, preset.seed), (None, None, Some(7)));
    }

    #[test]
    fn users_cap_a_file_of_arrivals_and_replace_bursts() {
        let cap = LoadSettings { users: Some(5), ..LoadSettings::default() };
        let open = LoadSettings { rate: Some(per_s(9.0)), ..LoadSettings::default() };
        let joined = cap.clone().or(open);
        assert_eq!((joined.users, joined.rate), (Some(5), Some(per_s(9.0))));
        let burst = BurstSettings { size: 3, cycles: None, pause: None };
        let joined = cap.or(LoadSettings { burst: Some(burst), ..LoadSettings::default() });
        assert_eq!((joined.users, joined.burst), (Some(5), None));
    }

    #[test]
    fn flag_texts_are_read() {
        let stage = |text: &str| text.parse::<LoadStage>();
        let half_minute = Duration::from_secs(30);
        assert_eq!(
            stage("100:30s"),
            Ok(LoadStage { target: Level::Users(100), duration: half_minute })
        );
        let rate = Level::Rate(per_s(1000.0));
        assert_eq!(stage("1k/s:30s"), Ok(LoadStage { target: rate, duration: half_minute }));
        for bad in ["", "100", "x:30s", "100:x", "-1:30s", "1/y:3s"] {
            assert!(stage(bad).is_err(), "{bad}");
        }
        let second = Duration::from_secs(1);
        assert_eq!(
            "500x10:1s..4s".parse(),
            Ok(BurstSettings { size: 500, cycles: Some(10), pause: Some((second, second * 4)) })
        );
        assert_eq!("5".parse(), Ok(BurstSettings { size: 5, cycles: None, pause: None }));
        for bad in ["", "x", "5x", "5x2:", "5x2:4s..1s"] {
            assert!(bad.parse::<BurstSettings>().is_err(), "{bad}");
        }
        assert_eq!(parse_wait("2s"), Ok(Wait::Constant(second * 2)));
        assert_eq!(parse_wait("1s..4s"), Ok(Wait::Between(second, second * 4)));
        assert_eq!("heavy".parse(), Ok(Preset::Heavy));
        assert!("heavier".parse::<Preset>().is_err());
    }
}
