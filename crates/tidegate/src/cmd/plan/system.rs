//! What is scaled: its capacity, objective, price, and how its instances come and go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use plan::choose::{Kind, Params};
use plan::simulate::{Distribution, QUANTILES_MAX};
use report::plan::Format;
use serde_json::Value;
use traffic::units::parse_duration;
use traffic::{Rate, Ratio};

use super::cannot_read;
use super::input::Input;
use crate::exit::Failed;

/// What is said when the capacity is missing.
pub(super) const NO_CAPACITY: &str = "how much one instance serves is not known: say --capacity 85/s, or measure it with \
     `tidegate capacity URL --json capacity.json` and say --capacity capacity.json";

/// Variation of service and boot times where only their mean is known.
const SERVICE_CV: f64 = 0.5;
const BOOT_CV: f64 = 0.25;
/// Points of the distribution of service times that are taken from a log: so many that the straight line
/// to the slowest request, which may be an outlier, stands for one in ten thousand.
const SERVICE_POINTS: u32 = QUANTILES_MAX as u32 - 1;
/// Fewest durations in a log that say how long requests take.
const DURATIONS_MIN: u64 = 100;

/// The system.
#[derive(Debug, Args)]
#[command(next_help_heading = "System")]
pub(crate) struct SystemFlags {
    /// What one instance serves within the objective: a rate such as 85/s, or the JSON file of
    /// `tidegate capacity`
    #[arg(long, value_name = "RATE|FILE")]
    capacity: Option<String>,
    /// How many may be late: 'late<0.1%' with --late-after, or 'p99<800ms' in one; repeatable
    #[arg(long, value_name = "OBJECTIVE", value_parser = slo)]
    slo: Vec<Slo>,
    /// A response is late when it takes longer [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    late_after: Option<Duration>,
    /// Mean service time of a request; by default that of the log or of the capacity file, else
    /// 100 ms
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    service: Option<Duration>,
    /// Requests that an instance works on at a time
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Time from a decision to a ready instance
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s")]
    boot: Duration,
    /// Time that a stopped instance goes on being paid for
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    drain: Duration,
    /// Least time that is billed for an instance
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s")]
    billing_min: Duration,
    /// Price of an instance for an hour, in any currency
    #[arg(long, value_name = "AMOUNT", default_value_t = 0.10)]
    price: f64,
    /// Fewest instances
    #[arg(long, value_name = "N", default_value_t = 1)]
    min: u32,
    /// Most instances; by default twice what the busiest time needs
    #[arg(long, value_name = "N")]
    max: Option<u32>,
    /// Controllers to choose from: hpa, keda, knative, aws-target-tracking, aws-scheduled, or all
    #[arg(long, value_name = "LIST", value_parser = kinds)]
    controllers: Option<Kinds>,
    /// Most cron entries of a schedule
    #[arg(long, value_name = "N", default_value_t = 6)]
    cron_entries: usize,
    /// Seed of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
}

/// Controllers to choose from.
#[derive(Debug, Clone)]
struct Kinds(Vec<Kind>);

const NAMES: [(&str, Kind); 5] = [
    ("hpa", Kind::Hpa),
    ("keda", Kind::Keda),
    ("knative", Kind::Knative),
    ("aws-target-tracking", Kind::AwsTargetTracking),
    ("aws-scheduled", Kind::AwsScheduled),
];

fn kinds(text: &str) -> Result<Kinds, String> {
    if text == "all" {
        return Ok(Kinds(NAMES.map(|(_, kind)| kind).into()));
    }
    let one = |name: &str| {
        let known = NAMES.iter().find(|(known, _)| *known == name.trim());
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name).join(", ");
            format!("`{name}` is no controller; there are {names}, or all")
        })
    };
    text.split(',').map(one).collect::<Result<_, _>>().map(Kinds)
}

/// A part of the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slo {
    /// Share of the requests that may be late.
    late_share: f64,
    /// When a response is late, where it is said.
    late_after_s: Option<f64>,
}

/// Reads `late<0.1%` or `p99.9<800ms`.
fn slo(text: &str) -> Result<Slo, String> {
    let wrong = || format!("`{text}` is no objective; write 'late<0.1%' or 'p99<800ms'");
    let (what, limit) = text.split_once('<').ok_or_else(wrong)?;
    let limit = limit.trim_start_matches('=').trim();
    if what.trim() == "late" {
        let late_share = limit.parse::<Ratio>().map_err(|error| error.to_string())?.get();
        return Ok(Slo { late_share, late_after_s: None });
    }
    let percentile = what.trim().strip_prefix('p').and_then(|p| p.parse::<f64>().ok());
    let percentile = percentile.filter(|p| (50.0..100.0).contains(p)).ok_or_else(wrong)?;
    let late_after = parse_duration(limit).map_err(|error| error.to_string())?;
    // In millionths, so that 99.9 % leaves 0.001 and not what the subtraction rounds to.
    let late_share = ((100.0 - percentile) * 1e4).round() / 1e6;
    Ok(Slo { late_share, late_after_s: Some(late_after.as_secs_f64()) })
}

/// What the flags, and the file that they name, say.
pub(super) struct System {
    params: Option<Params>,
    /// Service time that the flags or the capacity file give.
    service: Option<Distribution>,
    /// Requests in flight and per second of one instance, of the capacity file.
    points: Vec<(f64, f64)>,
    /// Mean boot time, in seconds.
    boot_s: f64,
    /// Whether the capacity is that of the system and not of who measured it.
    pub(super) is_believable: bool,
    pub(super) findings: Vec<String>,
}

impl SystemFlags {
    /// Mean boot time in seconds.
    pub(super) fn boot_s(&self) -> f64 {
        self.boot.as_secs_f64()
    }

    /// Reads the flags; what `emit` can express is tried as well.
    ///
    /// # Errors
    /// When the capacity cannot be read, or objectives contradict each other.
    pub(super) fn read(&self, emit: Option<Format>) -> Result<System, Failed> {
        let mut system = System {
            params: None,
            service: self.service.map(|mean| lognormal(mean.as_secs_f64(), SERVICE_CV)),
            points: Vec::new(),
            boot_s: self.boot_s(),
            is_believable: true,
            findings: Vec::new(),
        };
        let Some(capacity) = &self.capacity else { return Ok(system) };
        let per_s = match capacity.parse::<Rate>() {
            Ok(rate) => rate.as_per_s(),
            Err(error) => {
                let path = PathBuf::from(capacity);
                if !path.is_file() {
                    return Err(Failed::usage(format!(
                        "--capacity {capacity}: there is no such file, and {error}"
                    )));
                }
                system.capacity_of(&path)?
            }
        };
        let mut params = Params {
            concurrency: self.concurrency,
            boot: lognormal(self.boot_s(), BOOT_CV),
            drain_s: self.drain.as_secs_f64(),
            billing_min_s: self.billing_min.as_secs_f64(),
            price_per_instance_hour: self.price,
            min: self.min,
            max: self.max,
            cron_entries_max: self.cron_entries,
            seed: self.seed,
            ..Params::new(per_s)
        };
        if let Some(late_after) = self.late_after {
            params.late_after_s = late_after.as_secs_f64();
        }
        if let Some(Kinds(kinds)) = &self.controllers {
            params.kinds.clone_from(kinds);
        }
        for kind in emit.map(Format::kinds).unwrap_or_default() {
            if !params.kinds.contains(kind) {
                params.kinds.push(*kind);
            }
        }
        match self.slo.as_slice() {
            [] => {}
            [only] => {
                params.late_share = only.late_share;
                if let Some(after_s) = only.late_after_s {
                    params.late_after_s = after_s;
                }
                if only.late_after_s.is_some() && self.late_after.is_some() {
                    return Err(Failed::usage(
                        "--slo and --late-after both say when a response is late: leave one out",
                    ));
                }
            }
            _ => return Err(Failed::usage("one objective at a time: --slo once")),
        }
        system.params = Some(params);
        Ok(system)
    }
}

impl System {
    /// Everything about the system, with the service times of the log where nothing else tells them.
    /// `None` without a capacity.
    pub(super) fn params(&mut self, input: &Input) -> Option<Params> {
        let mut params = self.params.clone()?;
        let of_log = service_of(input);
        match (self.service.take(), of_log) {
            (Some(given), _) => params.service = given,
            (None, Some(of_log)) => params.service = of_log,
            (None, None) => self.findings.push(format!(
                "how long requests take is not known; {} ms were assumed: say --service",
                params.service.mean() * 1e3
            )),
        }
        Some(params)
    }

    /// Requests in flight and per second of one instance: as they were measured, else as the log
    /// shows them, which is told.
    pub(super) fn points(&mut self, input: &Input) -> Vec<(f64, f64)> {
        let Some(instances) = &input.instances else { return self.points.clone() };
        if let Some(begins_s) = instances.begins_s().filter(|begins_s| *begins_s > self.boot_s) {
            self.findings.push(format!(
                "new upstream servers took {begins_s:.0} s from their first request until they \
                 answered as usual, longer than --boot {:.0}s",
                self.boot_s
            ));
        }
        if !self.points.is_empty() {
            return self.points.clone();
        }
        if let Some(why) = instances.no_fit {
            self.findings.push(format!(
                "the concurrency limit rests on the capacity and the service time alone: {why}"
            ));
        }
        instances.points()
    }

    /// Requests per second out of a result of `tidegate capacity`, `docs/reference/results.md`.
    fn capacity_of(&mut self, path: &Path) -> Result<f64, Failed> {
        let wrong = |what: &str| {
            Failed::usage(format!(
                "{}: {what}; --capacity takes a file that `tidegate capacity --json` wrote",
                path.display()
            ))
        };
        let text = std::fs::read_to_string(path).map_err(|error| cannot_read(path, &error))?;
        let json: Value = serde_json::from_str(&text).map_err(|_| wrong("it is no JSON"))?;
        if json["schema"] != "tidegate.capacity/1" {
            return Err(wrong("it is no capacity result"));
        }
        let per_s = json["capacity"]["requests-per-s"].as_f64().filter(|rate| *rate > 0.0);
        let per_s = per_s.ok_or_else(|| wrong("it found no capacity"))?;
        match json["bound-by"].as_str() {
            Some("generator") => {
                self.is_believable = false;
                self.findings.push(
                    "the capacity was bound by the generator: an instance serves more, and the plan is too large"
                        .to_owned(),
                );
            }
            Some("nothing") => self.findings.push(
                "the capacity is the highest load that was tried: an instance may serve more"
                    .to_owned(),
            ),
            _ => {}
        }
        let trials = json["trials"].as_array().map(Vec::as_slice).unwrap_or_default();
        let number = |trial: &Value, key: &str| trial[key].as_f64().filter(|value| *value > 0.0);
        let usable = trials.iter().filter(|trial| trial["generator-limited"].is_null());
        self.points = usable
            .filter_map(|trial| {
                Some((number(trial, "in-flight")?, number(trial, "requests-per-s")?))
            })
            .collect();
        if self.service.is_none() {
            // With the least load there is the least waiting.
            let idlest = trials
                .iter()
                .filter_map(|trial| Some((number(trial, "load")?, number(trial, "mean-ms")?)))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            self.service = idlest.map(|(_, mean_ms)| lognormal(mean_ms / 1e3, SERVICE_CV));
        }
        Ok(per_s)
    }
}

fn lognormal(mean: f64, cv: f64) -> Distribution {
    if mean > 0.0 { Distribution::Lognormal { mean, cv } } else { Distribution::Constant(0.0) }
}

/// How long requests took, of all routes together; `None` where the log says too little.
fn service_of(input: &Input) -> Option<Distribution> {
    let (first, rest) = input.routes.split_first()?;
    let mut all = first.latency.clone();
    rest.iter().for_each(|route| all.merge(&route.latency));
    if all.count() < DURATIONS_MIN || all.sum_us() == 0 {
        return None;
    }
    let at = |point: u32| f64::from(point) / f64::from(SERVICE_POINTS);
    let seconds =
        (0..=SERVICE_POINTS).map(|point| all.quantile_us(at(point)).unwrap_or(0) as f64 / 1e6);
    Some(Distribution::Quantiles(seconds.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_read() {
        assert_eq!(slo("late<0.1%"), Ok(Slo { late_share: 0.001, late_after_s: None }));
        assert_eq!(slo("p99.9 < 800ms"), Ok(Slo { late_share: 0.001, late_after_s: Some(0.8) }));
        for wrong in ["", "late", "late>1%", "p100<1s", "p<1s", "late<1s", "mean<1s"] {
            assert!(slo(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn controllers_are_named() {
        assert_eq!(kinds("hpa, keda").map(|kinds| kinds.0), Ok(vec![Kind::Hpa, Kind::Keda]));
        assert_eq!(kinds("all").map(|kinds| kinds.0.len()), Ok(5));
        assert!(kinds("hpa,nomad").is_err());
    }
}
