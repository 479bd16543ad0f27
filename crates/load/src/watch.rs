//! Watching the target: processes of this machine, and Prometheus metrics of any.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::params::{PrometheusWatch, Watch};
use crate::results::WatchedSeries;

/// How often values are taken.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a metrics page may take.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest metrics page that is read, in bytes.
const PAGE_BYTES_MAX: u64 = 8 << 20;
/// What is kept of a metrics page when nothing is named.
const SERIES_DEFAULT: [&str; 2] = ["process_cpu_seconds_total", "process_resident_memory_bytes"];

/// Takes values in a thread of its own, so that a slow target never delays the run.
pub(crate) struct Watcher {
    series: Vec<WatchedSeries>,
    latest: Arc<Mutex<Vec<Option<f64>>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts watching; `None` when there is nothing to watch.
    pub(crate) fn start(watch: &Watch) -> Option<Watcher> {
        let mut sources: Vec<Source> =
            watch.pids.iter().map(|&pid| Source::Process(Process::new(pid))).collect();
        sources.extend(watch.prometheus.iter().map(|watch| Source::Page(Page::new(watch))));
        if sources.is_empty() {
            return None;
        }
        let series: Vec<WatchedSeries> = sources.iter().flat_map(Source::series).collect();
        let latest = Arc::new(Mutex::new(vec![None; series.len()]));
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn({
            let (latest, over) = (Arc::clone(&latest), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    let values = sources.iter_mut().flat_map(Source::sample).collect();
                    *latest.lock().unwrap_or_else(PoisonError::into_inner) = values;
                    std::thread::park_timeout(INTERVAL);
                }
            }
        });
        // Without a thread the values stay unknown, which the report shows.
        Some(Watcher { series, latest, over, thread: thread.ok() })
    }

    /// What is watched.
    pub(crate) fn series(&self) -> &[WatchedSeries] {
        &self.series
    }

    /// The latest values.
    pub(crate) fn sample(&mut self) -> Vec<Option<f64>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in there must not hide the result of the run.
            let _ = thread.join();
        }
    }
}

enum Source {
    Process(Process),
    Page(Page),
}

impl Source {
    fn series(&self) -> Vec<WatchedSeries> {
        let series = |name: String, unit: &str| WatchedSeries { name, unit: unit.to_owned() };
        match self {
            Source::Process(process) => vec![
                series(format!("pid {} cpu", process.pid), "cores"),
                series(format!("pid {} rss", process.pid), "bytes"),
            ],
            Source::Page(page) => {
                page.wanted.iter().map(|name| series(name.clone(), unit_of(name))).collect()
            }
        }
    }

    fn sample(&mut self) -> Vec<Option<f64>> {
        match self {
            Source::Process(process) => process.sample(),
            Source::Page(page) => page.sample(),
        }
    }
}

fn metric_name(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

/// Units by Prometheus' naming rules.
fn unit_of(series: &str) -> &'static str {
    match metric_name(series) {
        name if name.ends_with("cpu_seconds_total") => "cores",
        name if name.ends_with("_total") => "per s",
        name if name.ends_with("_bytes") => "bytes",
        name if name.ends_with("_seconds") => "s",
        _ => "",
    }
}

/// Turns a growing counter into a rate.
#[derive(Debug, Default)]
struct RateOf {
    before: Option<(Instant, f64)>,
}

impl RateOf {
    fn per_s(&mut self, now: Instant, value: f64) -> Option<f64> {
        let (then, before) = self.before.replace((now, value))?;
        let seconds = now.duration_since(then).as_secs_f64();
        // A counter that went back has been restarted.
        (seconds > 0.0 && value >= before).then(|| (value - before) / seconds)
    }
}

/// A process of this machine, read from `/proc` (Linux).
struct Process {
    pid: u32,
    cpu: RateOf,
}

impl Process {
    fn new(pid: u32) -> Process {
        Process { pid, cpu: RateOf::default() }
    }

    fn sample(&mut self) -> Vec<Option<f64>> {
        let cpu = fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .ok()
            .and_then(|stat| cpu_seconds(&stat))
            .and_then(|seconds| self.cpu.per_s(Instant::now(), seconds));
        let rss = fs::read_to_string(format!("/proc/{}/statm", self.pid))
            .ok()
            .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<f64>().ok())
            .map(|pages| pages * rustix::param::page_size() as f64);
        vec![cpu, rss]
    }
}

/// User and system time of `/proc/PID/stat`, in seconds. The name in parentheses may hold spaces
/// and parentheses itself.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / rustix::param::clock_ticks_per_second() as f64)
}

/// A Prometheus metrics page.
struct Page {
    address: String,
    path: String,
    wanted: Vec<String>,
    rates: Vec<RateOf>,
}

impl Page {
    fn new(watch: &PrometheusWatch) -> Page {
        let rest = watch.url.strip_prefix("http://").unwrap_or(&watch.url);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let has_port = authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
        let wanted = match watch.series.as_slice() {
            [] => SERIES_DEFAULT.map(str::to_owned).to_vec(),
            series => series.to_vec(),
        };
        Page {
            address: if has_port { authority.to_owned() } else { format!("{authority}:80") },
            path: if path.is_empty() { "/metrics".to_owned() } else { path.to_owned() },
            rates: wanted.iter().map(|_| RateOf::default()).collect(),
            wanted,
        }
    }

    fn sample(&mut self) -> Vec<Option<f64>> {
        let page = self.fetch().unwrap_or_default();
        let now = Instant::now();
        self.wanted
            .iter()
            .zip(&mut self.rates)
            .map(|(series, rate)| {
                let value = value_of(&page, series)?;
                if metric_name(series).ends_with("_total") {
                    rate.per_s(now, value)
                } else {
                    Some(value)
                }
            })
            .collect()
    }

    fn fetch(&self) -> Option<String> {
        let address = self.address.to_socket_addrs().ok()?.next()?;
        let mut stream = TcpStream::connect_timeout(&address, SCRAPE_TIMEOUT).ok()?;
        stream.set_read_timeout(Some(SCRAPE_TIMEOUT)).ok()?;
        stream.set_write_timeout(Some(SCRAPE_TIMEOUT)).ok()?;
        // HTTP/1.0: the answer is neither chunked nor kept open.
        let request = format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nAccept: text/plain\r\n\r\n",
            self.path, self.address
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.take(PAGE_BYTES_MAX).read_to_end(&mut answer).ok()?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n")?;
        head.split(' ').nth(1).filter(|status| *status == "200")?;
        Some(body.to_owned())
    }
}

/// The value of a series on a page: of exactly these labels when some are given, else the sum over
/// all labels.
fn value_of(page: &str, series: &str) -> Option<f64> {
    let mut sum = None;
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let labels_end = line.rfind('}').map_or_else(|| line.find(' '), |at| Some(at + 1));
        let Some((name, rest)) = labels_end.map(|at| line.split_at(at)) else { continue };
        let matches = name == series || (!series.contains('{') && metric_name(name) == series);
        if let (true, Some(Ok(value))) =
            (matches, rest.split_whitespace().next().map(str::parse::<f64>))
        {
            sum = Some(sum.unwrap_or(0.0) + value);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_odd_names() {
        let stat = "42 (a) b (c)) S 1 1 1 0 -1 4194560 1 0 0 0 250 150 0 0 20 0 1 0 100 1000 10";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_seconds(stat), Some(400.0 / ticks));
        assert_eq!(cpu_seconds("no parentheses"), None);
    }

    #[test]
    fn series_are_found_by_name_or_by_labels() {
        let page = "# HELP x y\nx_total{a=\"1\",b=\"}\"} 3\nx_total{a=\"2\"} 4 1700000000\nmem_bytes 1e6\n";
        assert_eq!(value_of(page, "x_total"), Some(7.0));
        assert_eq!(value_of(page, "x_total{a=\"2\"}"), Some(4.0));
        assert_eq!(value_of(page, "mem_bytes"), Some(1e6));
        assert_eq!(value_of(page, "mem"), None);
    }

    #[test]
    fn a_counter_becomes_a_rate_and_may_restart() {
        let mut rate = RateOf::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(rate.per_s(at(0), 10.0), None);
        assert_eq!(rate.per_s(at(2), 16.0), Some(3.0));
        assert_eq!(rate.per_s(at(3), 1.0), None);
        assert_eq!(rate.per_s(at(4), 2.0), Some(1.0));
    }

    #[test]
    fn this_process_can_be_watched() {
        let mut process = Process::new(std::process::id());
        let values = process.sample();
        assert!(values[1].is_some_and(|rss| rss > 100_000.0), "{values:?}");
    }
}
