//! From what was counted to the report.

use std::cmp::Reverse;
use std::{panic, thread};

use super::agent::{Agent, Class, classify};
use super::aggregate::{Aggregate, Kind, UPSTREAMS_MAX};
use super::counter::Counter;
use super::findings;
use super::instance::{Tracked, window_s};
use super::keys::{Keys, OTHER, OTHER_ID};
use super::model::{
    Arrivals, Busiest, Demand, Instance, Instances, LogReport, Peak, RejectCount, Row, SCHEMA,
    Service, TimePoint, Timeline, Totals,
};
use super::overlap::Overlap;
use super::panel::{Panel, Panels};
use super::path::is_static;
use super::rollup::{Rollup, top};
use super::series::{DENSE_MAX, STEPS_S, Series, TIMELINE_POINTS_MAX};
use super::template::templates;

/// How a report is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Rows per panel, those with most hits.
    pub rows: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { rows: 1000 }
    }
}

/// Name in roll-ups of browsers for all that crawls.
const CRAWLERS: &str = "Crawlers";
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const SECOND_US: i64 = 1_000_000;

impl Aggregate {
    /// The report on all records seen so far. It takes time by the number of distinct texts, so a live view
    /// should not ask for it more than every few seconds.
    #[must_use]
    pub fn finish(&mut self, options: &Options) -> LogReport {
        self.rates.settle(self.setup.jobs);
        self.logins.settle(self.setup.jobs);
        self.report(options)
    }

    fn report(&self, options: &Options) -> LogReport {
        let (findings, (panels, templates)) = if self.setup.jobs > 1 {
            thread::scope(|scope| {
                let findings = scope.spawn(|| findings::find(self));
                let panels = self.panels(options.rows);
                let findings = findings.join();
                (findings.unwrap_or_else(|cause| panic::resume_unwind(cause)), panels)
            })
        } else {
            (findings::find(self), self.panels(options.rows))
        };
        let notes = self.notes();
        let demand = self.demand(&templates);
        let totals = self.totals();
        let reject = |(reason, count): (&String, &u64)| RejectCount {
            reason: reason.clone(),
            count: *count,
        };
        let mut rejects: Vec<RejectCount> = self.rejects.iter().map(reject).collect();
        rejects.sort_by_key(|reject| Reverse(reject.count));
        LogReport {
            schema: SCHEMA,
            totals,
            rejects,
            panels,
            timeline: timeline(&self.classes),
            busiest: Busiest {
                second: peak(&self.arrivals, 1),
                minute: peak(&self.arrivals, 60),
                hour: peak(&self.arrivals, 3600),
            },
            concurrency: self.overlap.as_ref().and_then(Overlap::concurrency),
            latency: self.latency.quantiles(),
            slowest: self.slowest.requests().to_vec(),
            findings,
            notes,
            demand,
        }
    }

    /// All panels, and path templates with all that is counted of them.
    fn panels(&self, rows: usize) -> (Panels, Rollup) {
        let mut panels = Panels::default();
        self.plain_panels(&mut panels, rows);
        self.path_panels(&mut panels, rows);
        self.time_panels(&mut panels);
        self.agent_panels(&mut panels, rows);
        let templates = self.template_rollup();
        set(&mut panels, Panel::Template, templates.top(rows));
        self.upstream_concurrency(&mut panels[Panel::Upstream]);
        (panels, templates)
    }

    pub(crate) fn keys(&self, kind: Kind) -> &Keys {
        &self.keys[kind as usize]
    }

    fn totals(&self) -> Totals {
        let rejected: u64 = self.rejects.values().sum();
        let paths = self.keys(Kind::Path);
        let is_empty = self.requests == 0;
        Totals {
            read: self.parsed + rejected,
            parsed: self.parsed,
            rejected,
            excluded: self.excluded,
            requests: self.requests,
            unique_visitors: self.visitors.count(),
            unique_visitors_estimated: self.visitors.is_estimate(),
            bytes: self.bytes,
            static_requests: paths
                .rows()
                .filter(|(id, _)| is_static(paths.text(*id)))
                .map(|(_, counter)| counter.hits)
                .sum(),
            not_found: self.keys(Kind::NotFound).rows().map(|(_, counter)| counter.hits).sum(),
            server_errors: self.classes.cells().map(|(_, classes)| classes[5]).sum(),
            first: (!is_empty).then_some(self.first_us),
            last: (!is_empty).then_some(self.last_us),
        }
    }

    /// Panels whose rows are what was counted, or that but for spelling.
    fn plain_panels(&self, panels: &mut Panels, rows: usize) {
        for (panel, kind) in [
            (Panel::Status, Kind::Status),
            (Panel::Method, Kind::Method),
            (Panel::Protocol, Kind::Protocol),
            (Panel::Client, Kind::Client),
            (Panel::User, Kind::User),
            (Panel::Agent, Kind::Agent),
            (Panel::Referrer, Kind::Referrer),
            (Panel::Tls, Kind::Tls),
            (Panel::Upstream, Kind::Upstream),
            (Panel::Route, Kind::Route),
            (Panel::Country, Kind::Country),
        ] {
            set(panels, panel, top(self.keys(kind), rows, |_| true));
        }
        let lower = |kind| Rollup::of(self.keys(kind), |_, name| Some(name.to_ascii_lowercase()));
        set(panels, Panel::Host, lower(Kind::Host).top(rows));
        set(panels, Panel::Cache, lower(Kind::Cache).top(rows));
        let mime = Rollup::of(self.keys(Kind::Mime), |_, name| {
            name.split(';').next().map(|name| name.trim().to_ascii_lowercase())
        });
        set(panels, Panel::Mime, mime.top(rows));
        let site = Rollup::of(self.keys(Kind::Referrer), |_, referrer| site_of(referrer));
        set(panels, Panel::ReferringSite, site.top(rows));
        let mut variants = Rollup::default();
        for (id, counter) in self.keys(Kind::Variants).rows() {
            for variant in self.keys(Kind::Variants).name(id).split(',') {
                variants.add(variant.trim(), counter);
            }
        }
        set(panels, Panel::Variant, variants.top(rows));
    }

    fn path_panels(&self, panels: &mut Panels, rows: usize) {
        let (paths, missing) = (self.keys(Kind::Path), self.keys(Kind::NotFound));
        set(panels, Panel::Path, top(paths, rows, |_| true));
        set(panels, Panel::Static, top(paths, rows, is_static));
        set(panels, Panel::NotFound, top(missing, rows, |_| true));
        for panel in [Panel::Path, Panel::Static, Panel::NotFound] {
            for row in &mut panels[panel] {
                row.is_static = is_static(row.key.as_bytes());
            }
        }
    }

    fn time_panels(&self, panels: &mut Panels) {
        let hours = self.keys(Kind::Hour);
        let rollup = |name: fn(i64) -> Option<String>| {
            Rollup::of(hours, |id, _| {
                let hour: Option<[u8; 8]> = hours.text(id).try_into().ok();
                hour.map_or(Some(OTHER.to_owned()), |hour| name(i64::from_be_bytes(hour)))
            })
        };
        let mut by_hour = rollup(|hour| Some(format!("{:02}", hour.rem_euclid(24))));
        if hours.rows().next().is_some() {
            (0..24).for_each(|hour| by_hour.add(&format!("{hour:02}"), &Counter::default()));
        }
        set(panels, Panel::Hour, by_hour.by_name());
        set(panels, Panel::Day, rollup(|hour| date(hour.div_euclid(24))).by_name());
        // Names sort by day only with its number before them: 1970-01-01 was a Thursday.
        let by_weekday = rollup(|hour| {
            let weekday = (hour.div_euclid(24) + 3).rem_euclid(7);
            Some(format!("{weekday} {:02}", hour.rem_euclid(24)))
        });
        let (mut rows, distinct) = by_weekday.by_name();
        for row in &mut rows {
            let day = row.key.split(' ').next().and_then(|day| day.parse::<usize>().ok());
            if let (Some(name), Some(hour)) =
                (day.and_then(|day| WEEKDAYS.get(day)), row.key.get(2..))
            {
                row.key = format!("{name} {hour}");
            }
        }
        set(panels, Panel::WeekdayHour, (rows, distinct));
    }

    fn agent_panels(&self, panels: &mut Panels, rows: usize) {
        let agents = self.keys(Kind::Agent);
        let known: Vec<Agent> =
            (0..=agents.len() as u32).map(|id| classify(agents.text(id))).collect();
        let name = |id: u32, of: &dyn Fn(&Agent) -> Option<&'static str>| match id {
            OTHER_ID => Some(OTHER.to_owned()),
            id => known.get(id as usize).and_then(of).map(str::to_owned),
        };
        let is_crawler = |agent: &Agent| agent.class == Class::Crawler;
        let browsers = Rollup::of(agents, |id, _| {
            name(id, &|agent| Some(if is_crawler(agent) { CRAWLERS } else { agent.name }))
        });
        set(panels, Panel::Browser, browsers.top(rows));
        let systems = Rollup::of(agents, |id, _| name(id, &|agent| Some(agent.os)));
        set(panels, Panel::Os, systems.top(rows));
        let crawlers = Rollup::of(agents, |id, _| match id {
            OTHER_ID => None,
            id => name(id, &|agent| is_crawler(agent).then_some(agent.name)),
        });
        let (mut crawler_rows, distinct) = crawlers.top(rows);
        for row in &mut crawler_rows {
            if let Some(agent) =
                known.iter().find(|agent| is_crawler(agent) && agent.name == row.key)
            {
                (row.operator, row.ai) = (agent.operator, agent.ai);
            }
        }
        set(panels, Panel::Crawler, (crawler_rows, distinct));
    }

    fn template_rollup(&self) -> Rollup {
        let paths = self.keys(Kind::Path);
        let names = templates((1..=paths.len() as u32).map(|id| paths.text(id)));
        let mut rollup = Rollup::default();
        for (id, counter) in paths.rows() {
            let name = (id as usize).checked_sub(1).and_then(|at| names.get(at));
            rollup.add(name.map_or(OTHER, String::as_str), counter);
        }
        rollup
    }

    fn upstream_concurrency(&self, rows: &mut [Row]) {
        let names = self.keys(Kind::Upstream);
        for (id, tracked) in (0..).zip(self.upstreams.iter().flatten()) {
            let name = names.name(id);
            let concurrency = tracked.as_ref().and_then(Tracked::concurrency);
            if let (Some(concurrency), Some(row)) =
                (concurrency, rows.iter_mut().find(|row| row.key == name))
            {
                row.peak_concurrency = Some(concurrency.peak);
            }
        }
    }

    fn demand(&self, templates: &Rollup) -> Demand {
        let (start_s, step_s, counts) = self.arrivals.dense(DENSE_MAX);
        let services = |keys: &Keys| {
            sorted(keys.rows().map(|(id, counter)| service(keys.name(id), counter)).collect())
        };
        let mut routes = services(self.keys(Kind::Route));
        if routes.is_empty() {
            routes = sorted(
                templates.counters().map(|(name, row)| service(name.to_owned(), row)).collect(),
            );
        }
        let counts: Vec<u64> = counts.into_iter().map(|[count]| count).collect();
        let step_s = step_s as u64;
        let arrivals = if counts.is_empty() {
            Arrivals::default()
        } else {
            Arrivals { start_s, step_s, counts }
        };
        Demand { arrivals, routes, upstreams: services(self.keys(Kind::Upstream)) }
    }

    /// What each upstream server did over time, which sizing needs and a report leaves out.
    #[must_use]
    pub fn instances(&self) -> Instances {
        let names = self.keys(Kind::Upstream);
        let numbered = (0..).zip(self.upstreams.iter().flatten());
        let tracked: Vec<(u32, &Tracked)> =
            numbered.filter_map(|(id, one)| Some((id, one.as_ref()?))).collect();
        let window_s = window_s(&tracked);
        let one = |(id, one): (u32, &Tracked)| one.instance(names.name(id).to_owned(), window_s);
        let mut list: Vec<Instance> = tracked.into_iter().map(one).collect();
        list.sort_by(|a, b| (a.first_us, &a.key).cmp(&(b.first_us, &b.key)));
        Instances { window_s: window_s as u64, list }
    }

    /// What limits this report.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let rejected: u64 = self.rejects.values().sum();
        if self.parsed == 0 && rejected == 0 {
            notes.push("There was no line to read.".to_owned());
        } else if rejected > self.parsed {
            notes.push(
                "Most lines are of no format that is known: --rejected FILE shows them with the reasons, \
                 --log-format tells a format that cannot be guessed."
                    .to_owned(),
            );
        } else if self.requests == 0 {
            notes.push("No request met the conditions.".to_owned());
        }
        let (west, east) = self.zones_min;
        if west < east {
            notes.push(format!(
                "Lines were written in zones from {} to {}: hours and dates are those of each line's own clock.",
                zone(west),
                zone(east)
            ));
        }
        if self.visitors.is_estimate() {
            notes.push(format!(
                "More than {} unique visitors: their number is an estimate by HyperLogLog, standard error 0.8 %.",
                self.setup.limits.visitors
            ));
        }
        for (kind, what) in [
            (Kind::Path, "paths"),
            (Kind::Client, "clients"),
            (Kind::Agent, "user agents"),
            (Kind::Referrer, "referrers"),
            (Kind::Host, "hosts"),
            (Kind::User, "users"),
            (Kind::Method, "methods"),
            (Kind::Upstream, "upstream servers"),
            (Kind::Mime, "media types"),
        ] {
            if self.keys(kind).is_capped() {
                notes.push(format!(
                    "More than {} distinct {what}: those seen later count as {OTHER}.",
                    self.setup.limits.keys
                ));
            }
        }
        if self.arrivals.step_s() > 1 {
            notes.push(format!(
                "The log spans too much to be counted by seconds; steps are {} s.",
                self.arrivals.step_s()
            ));
        }
        if self.upstreams.is_none() {
            notes.push(format!(
                "More than {UPSTREAMS_MAX} upstream servers: what each did over time is not known."
            ));
        }
        match self.rates.step_s() {
            Some(60) => {}
            Some(step) => notes.push(format!(
                "Many clients over a long time: anomalies of rates are looked for by {step} s, not by minutes."
            )),
            None => notes.push("Too many clients: anomalies of rates are not looked for.".to_owned()),
        }
        notes
    }
}

/// `+02:00`.
fn zone(minutes: i16) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

fn set(panels: &mut Panels, panel: Panel, (rows, distinct): (Vec<Row>, u64)) {
    panels.set(panel, rows, distinct);
}

fn service(key: String, counter: &Counter) -> Service {
    Service { key, hits: counter.hits, latency: counter.latency() }
}

/// Services listed for sizing.
const SERVICES_MAX: usize = 1000;

fn sorted(mut services: Vec<Service>) -> Vec<Service> {
    services.sort_unstable_by(|a, b| (Reverse(a.hits), &a.key).cmp(&(Reverse(b.hits), &b.key)));
    services.truncate(SERVICES_MAX);
    services
}

fn peak(arrivals: &Series<1>, step_s: i64) -> Option<Peak> {
    arrivals.busiest(step_s).map(|(at_s, hits)| Peak { time: at_s * SECOND_US, hits })
}

/// The timeline at the finest of the usual steps that keeps it short.
fn timeline(classes: &Series<7>) -> Timeline {
    /// In minutes: steps that people read.
    const STEPS_MIN: [i64; 12] = [1, 5, 10, 15, 30, 60, 180, 360, 720, 1440, 10_080, 43_200];
    let Some((first, last)) = classes.span() else {
        return Timeline { step_s: STEPS_S[1] as u64, points: Vec::new() };
    };
    let points = |step: i64| last.div_euclid(step) - first.div_euclid(step) + 1;
    let fits =
        |step: &i64| *step >= classes.step_s() && points(*step) <= TIMELINE_POINTS_MAX as i64;
    let longest = (last - first) / TIMELINE_POINTS_MAX as i64 / 86_400 * 86_400 + 2 * 86_400;
    let step = STEPS_MIN.iter().map(|minutes| minutes * 60).find(fits).unwrap_or(longest);
    let begin = first.div_euclid(step);
    let mut all: Vec<TimePoint> = (0..points(step))
        .map(|at| TimePoint { time: (begin + at) * step * SECOND_US, hits: 0, classes: [0; 6] })
        .collect();
    for (at_s, [hits, classes @ ..]) in classes.cells() {
        let at = (at_s.div_euclid(step) - begin) as usize;
        if let Some(point) = all.get_mut(at) {
            point.hits += hits;
            point.classes.iter_mut().zip(classes).for_each(|(sum, count)| *sum += count);
        }
    }
    Timeline { step_s: step as u64, points: all }
}

/// The date of a day since the epoch.
fn date(day: i64) -> Option<String> {
    let epoch = jiff::civil::date(1970, 1, 1);
    let date = epoch.checked_add(jiff::Span::new().try_days(day).ok()?).ok()?;
    Some(date.to_string())
}

/// The host of a referrer, in lower case and without `www.`; none of what is no URL.
fn site_of(referrer: &str) -> Option<String> {
    if referrer == OTHER {
        return Some(OTHER.to_owned());
    }
    let (_, rest) = referrer.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.to_ascii_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    (!host.is_empty()).then(|| host.to_owned())
}
