use std::sync::Arc;
use std::time::Duration;
use load::params::*;
use load::scenario::*;
use load::template::Template;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let url = url::Url::parse(&args[1]).unwrap();
    let origin = Origin::of_url(&url).unwrap();
    let users: f64 = args[2].parse().unwrap();
    let secs: u64 = args[3].parse().unwrap();
    let workers: usize = args[4].parse().unwrap();
    let mode = args.get(5).map(String::as_str).unwrap_or("one");
    let step = |path: &str, checks: Vec<Check>, e: usize| Step { endpoint: e, method: http::Method::GET, origin: None, target: Template::literal(path), headers: vec![], body: Body::None, checks, saves: vec![], timeout: None };
    let ok = || Check::Status(vec![StatusRange{low:200,high:200}]);
    let task = |name: &str, weight, step| Task { name: name.into(), weight, steps: vec![step] };
    let tasks = if mode == "journey" { vec![
        task("a", 3, step(url.path(), vec![ok(), Check::BodyContains("ok".into())], 0)),
        task("b", 2, step(url.path(), vec![ok()], 1)),
        task("c", 1, step(url.path(), vec![ok(), Check::Header{name: http::header::CONTENT_TYPE, value: None}], 2)),
    ] } else { vec![task("a", 1, step(url.path(), vec![], 0))] };
    let scenario = Scenario { tasks, on_start: vec![], on_stop: vec![], wait: if mode=="idle" {policy::Wait::Constant(Duration::from_secs(1000))} else {policy::Wait::None}, data: Arc::new([]), saved_names: vec![], endpoints: ["a","b","c"].iter().map(|n| Endpoint{name: n.to_string(), method: http::Method::GET}).collect() };
    let model = if mode.starts_with("rate") { Model::Open { rate: policy::Curve::constant(mode[4..].parse().unwrap()).unwrap(), arrivals: policy::ArrivalKind::Deterministic, users_max: users as u32 } } else { Model::Closed { users: policy::Curve::constant(users).unwrap() } };
    load::raise_descriptor_limit();
    let params = LoadParams { scenario: Arc::new(scenario), model, stop: Stop { run_time: Some(Duration::from_secs(secs)), requests: None }, http: HttpParams::new(origin), slo: vec![], workers, seed: 1, drain: Duration::from_secs(2), watch: Watch::default() };
    let result = load::Run::start(params).unwrap().finish(&mut |_| {}).unwrap();
    let q = |h: &stats::LatencyHistogram, q| h.quantile_us(q).unwrap_or(0);
    println!("requests {} failures {} unsent {} rps {:.0} cpu {:?} us/req {:.3} p50 {} p99 {} delay p99 {} lag p99 {} conns {}", result.totals.requests, result.totals.failures, result.totals.unsent, result.requests_per_s(), result.generator.process_cpu, result.generator.process_cpu.as_secs_f64()*1e6/result.totals.requests as f64, q(&result.totals.response,0.5), q(&result.totals.response,0.99), q(&result.totals.delay,0.99), q(&result.generator.lag,0.99), result.generator.connections_max);
    println!("{:?} errors {:?}", result.verdict, result.errors.iter().take(4).collect::<Vec<_>>());
    println!("{}", std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmHWM")||l.starts_with("VmRSS")).collect::<Vec<_>>().join(" "));
}
