//! What demand looks like, in words and as JSON.

use logs::report::Service;
use plan::demand::{Demand, Season, Silence};
use serde_json::{Value, json};

use super::Sizing;
use crate::format;
use crate::table::{Style, Table};

/// Rows of routes and of upstream servers that are shown.
const ROWS_MAX: usize = 8;
/// Rows of routes and of upstream servers that JSON has.
const JSON_ROWS_MAX: usize = 100;
/// Changes of the level and outages that are told.
const TOLD_MAX: usize = 5;

/// The demand in some lines.
pub(super) fn text(sizing: &Sizing, style: Style) -> String {
    let Sizing { series, demand, .. } = sizing;
    let span_s = series.end_s() - series.start_s;
    let mut text = format!(
        "{}: {} requests in {}, in steps of {} s ({}), {} on average\n",
        style.bold("Demand"),
        format::amount(demand.total),
        days(span_s as f64),
        series.step_s,
        zone_shown(sizing),
        format::rate(demand.mean_per_s),
    );
    let mut line = |line: String| text.push_str(&format!("  {line}\n"));
    if let Some(burst) = &demand.burst {
        let peaks = [
            ("second", burst.peak_second),
            ("minute", burst.peak_minute),
            ("hour", burst.peak_hour),
        ];
        let peaks: Vec<String> = peaks
            .iter()
            .filter_map(|(name, peak)| Some(format!("{name} × {}", format::amount((*peak)?))))
            .collect();
        if !peaks.is_empty() {
            line(format!("busiest over the mean: {}", peaks.join(", ")));
        }
        line(format!(
            "rises by up to {} within {} s",
            format::rate(burst.rise_per_s),
            burst.rise_within_s
        ));
    }
    line(format!(
        "rhythm of the day: {}; of the week: {}",
        season(demand.daily.as_ref()),
        season(demand.weekly.as_ref())
    ));
    if let Some(trend) = demand.trend.as_ref().filter(|trend| trend.is_significant()) {
        let sign = if trend.per_day > 0.0 { "grows" } else { "falls" };
        line(format!("{sign} by {} a day", format::percent(trend.ratio_per_day.abs())));
    }
    for change in demand.changes.iter().take(TOLD_MAX) {
        line(format!(
            "from {} on {} instead of {}",
            date(change.day),
            format::rate(change.after),
            format::rate(change.before)
        ));
    }
    for outage in demand.outages.iter().take(TOLD_MAX) {
        let what = match outage.silence {
            Silence::Zero => "no requests",
            Silence::Unknown => "nothing known",
        };
        line(format!(
            "{what} for {} from {} on, left out",
            days((outage.end_s - outage.start_s) as f64),
            time(outage.start_s)
        ));
    }
    if demand.outages.len() > TOLD_MAX {
        line(format!("and {} more such gaps", demand.outages.len() - TOLD_MAX));
    }
    if let Some((forecast, best)) =
        sizing.forecast.as_ref().and_then(|it| Some((it, it.scores.first()?)))
    {
        line(format!(
            "the next {} are foretold best by {}: off by {} of an hour's requests on the past",
            days(forecast.mean.len() as f64 * f64::from(forecast.step_s)),
            best.name,
            format::percent(best.wmape),
        ));
    }
    text.push_str(&services("route", &sizing.routes));
    text.push_str(&services("upstream", &sizing.upstreams));
    text.push_str(&sizing.instances.as_ref().map(super::instances::text).unwrap_or_default());
    text
}

fn season(season: Option<&Season>) -> String {
    match season {
        None => "too few of them to tell".to_owned(),
        Some(season) if !season.is_significant() => "none".to_owned(),
        Some(season) => format!("{} of the variance", format::percent(season.strength)),
    }
}

/// Who was asked, or who answered, with the share of all time spent.
fn services(what: &str, services: &[Service]) -> String {
    let time: u64 = services.iter().map(|one| one.latency.sum_us()).sum();
    if services.len() < 2 || time == 0 {
        return String::new();
    }
    let all: u64 = services.iter().map(|one| one.hits).sum();
    let mut table = Table::new(&[what], &["hits", "%", "% of time", "p50", "p95", "p99"]);
    for one in services.iter().take(ROWS_MAX) {
        let at = |q: f64| format::time_or_dash(one.latency.quantile_us(q).map(|us| us as f64));
        let share = |part: u64, whole: u64| {
            format::percent(format::share(part, whole)).trim_end_matches(" %").to_owned()
        };
        table.row([
            one.key.clone(),
            format::count(one.hits),
            share(one.hits, all),
            share(one.latency.sum_us(), time),
            at(0.5),
            at(0.95),
            at(0.99),
        ]);
    }
    format!("\n{}", table.render())
}

/// The same facts for programs.
pub(super) fn json(sizing: &Sizing) -> Value {
    let Sizing { series, demand, routes, upstreams, .. } = sizing;
    let Demand { burst, daily, weekly, trend, changes, outages, .. } = demand;
    let season = |season: &Option<Season>| {
        season.as_ref().map(|season| {
            json!({
                "strength": season.strength,
                "autocorrelation": season.autocorrelation,
                "p-value": season.p_value,
                "significant": season.is_significant(),
            })
        })
    };
    json!({
        "first": time(series.start_s),
        "end": time(series.end_s()),
        "step-s": series.step_s,
        "zone": zone_name(sizing),
        "requests": demand.total,
        "mean-per-s": demand.mean_per_s,
        "known-ratio": demand.known_ratio,
        "hours-per-s": super::week::rates(&demand.masked),
        "burst": burst.as_ref().map(|burst| json!({
            "peak-second": burst.peak_second,
            "peak-minute": burst.peak_minute,
            "peak-hour": burst.peak_hour,
            "peak-step": burst.peak_step,
            "fano": burst.fano,
            "fano-local": burst.fano_local,
            "rise-per-s": burst.rise_per_s,
            "rise-q999-per-s": burst.rise_q999_per_s,
            "rise-within-s": burst.rise_within_s,
        })),
        "daily": season(daily),
        "weekly": season(weekly),
        "trend": trend.as_ref().map(|trend| json!({
            "per-day": trend.per_day,
            "ratio-per-day": trend.ratio_per_day,
            "significant": trend.is_significant(),
        })),
        "changes": changes.iter().map(|change| json!({
            "day": date(change.day), "before-per-s": change.before, "after-per-s": change.after,
        })).collect::<Vec<_>>(),
        "outages": outages.iter().map(|outage| json!({
            "from": time(outage.start_s), "to": time(outage.end_s), "missed": outage.missed,
        })).collect::<Vec<_>>(),
        "routes": services_json(routes),
        "upstreams": services_json(upstreams),
        "instances": sizing.instances.as_ref().map(super::instances::json),
    })
}

fn services_json(services: &[Service]) -> Vec<Value> {
    let one = |one: &Service| json!({ "key": one.key, "hits": one.hits, "latency": one.latency.quantiles() });
    services.iter().take(JSON_ROWS_MAX).map(one).collect()
}

fn zone_name(sizing: &Sizing) -> String {
    sizing.series.zone.iana_name().map_or_else(|| zone_offset(sizing), str::to_owned)
}

/// For people: the names of fixed offsets have the sign the wrong way round (`Etc/GMT-1` is UTC+01).
fn zone_shown(sizing: &Sizing) -> String {
    let name = sizing.series.zone.iana_name().filter(|name| !name.starts_with("Etc/GMT"));
    name.map_or_else(|| zone_offset(sizing), str::to_owned)
}

fn zone_offset(sizing: &Sizing) -> String {
    let start = jiff::Timestamp::from_second(sizing.series.start_s).unwrap_or_default();
    format!("UTC{}", sizing.series.zone.to_offset(start))
}

/// A length of time, in days where it has some.
fn days(seconds: f64) -> String {
    if seconds < 172_800.0 {
        return format::length(seconds);
    }
    format!("{:.1} days", seconds / 86_400.0)
}

fn date(day: i64) -> String {
    time(day.saturating_mul(86_400)).chars().take(10).collect()
}

/// RFC 3339, or a dash outside of the years that it can name.
pub(super) fn time(second: i64) -> String {
    jiff::Timestamp::from_second(second).map_or_else(|_| "-".to_owned(), |time| time.to_string())
}
