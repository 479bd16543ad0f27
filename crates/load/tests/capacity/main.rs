//! Capacity searches against simulated servers, in virtual time.

mod sim;

use std::time::Duration;

use load::capacity::{CapacityResult, Search, SearchBy, SearchParams, Step, TrialLengths};
use load::slo::parse_slo;
use sim::Server;

fn search(server: Server, params: SearchParams, seed: u64) -> CapacityResult {
    let by = params.by;
    let mut search = Search::new(params);
    let mut trial = 0;
    loop {
        match search.next() {
            Step::Run { load, duration, .. } => {
                trial += 1;
                search.observe(&sim::run(server, by, load, duration, seed * 1000 + trial));
            }
            Step::Done(result) => return *result,
        }
    }
}

fn truth(server: Server, by: SearchBy, q: f64, limit: f64, high: f64) -> f64 {
    let (mut low, mut high) = (1.0, high);
    while high / low > 1.003 {
        let middle: f64 = (low * high).sqrt();
        let long = sim::run(server, by, middle, Duration::from_secs(1000), 99);
        let mut whole = stats::LatencyHistogram::new();
        long.intervals[100..].iter().for_each(|i| whole.merge(&i.totals.response));
        if whole.quantile_us(q).unwrap() as f64 <= limit * 1e6 { low = middle } else { high = middle }
    }
    (low * high).sqrt()
}

fn experiment(name: &str, server: Server, by: SearchBy, slo: &str, q: f64, limit: f64) {
    let truth = truth(server, by, q, limit, 5000.0);
    let mut errors = vec![];
    let (mut covered, mut trials, mut seconds, mut incomplete, mut width) = (0, 0, 0.0, 0, 0.0);
    let seeds = 100;
    for seed in 0..seeds {
        let mut params = SearchParams::new(by, parse_slo(slo).unwrap(), 1e5);
        if by == SearchBy::Users {
            params.lengths = TrialLengths::default().for_cycle(Duration::from_secs_f64(sim::THINK));
        }
        params.seed = seed;
        let result = search(server, params, seed);
        errors.push(result.load / truth - 1.0);
        covered += usize::from(result.ci.0 <= truth && truth <= result.ci.1);
        trials += result.trials.len();
        seconds += result.trials.iter().map(|t| t.duration.as_secs_f64()).sum::<f64>();
        width += (result.ci.1 - result.ci.0) / truth;
        incomplete += usize::from(result.doubts.iter().any(|d| d.contains("stopped")));
        if seed == 0 {
            println!("{:?} {:?} {:?} knee {:?} usl {:?} {:?}", result.signal, result.failed_first, result.ci, result.knee, result.usl, result.doubts);
            for t in &result.trials { println!("  {:?} {:.0} {:.1}s p95 {:.1} x {:.0} in {:.0} {} {:?}", t.purpose, t.load, t.duration.as_secs_f64(), t.p95_ms, t.requests_per_s, t.in_flight, t.met, t.failed); }
        }
    }
    let within = errors.iter().filter(|e| e.abs() <= 0.05).count();
    let mean = errors.iter().sum::<f64>() / seeds as f64;
    let sd = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / seeds as f64).sqrt();
    errors.sort_by(f64::total_cmp);
    println!("{name}: truth {truth:.1} within {within} mean {mean:.4} sd {sd:.4} range {:.3}..{:.3} covered {covered} trials {:.1} time {:.0}s incomplete {incomplete} ci width {:.3}",
        errors[0], errors[99], trials as f64 / seeds as f64, seconds / seeds as f64, width / seeds as f64);
}

#[test]
fn experiments() {
    let fixed = Server::Fixed { servers: 8, rate: 250.0 };
    let law = stats::UslFit { gamma: 100.0, sigma: 0.02, kappa: 0.0001, r_squared: 1.0, residual: 0.0 };
    let freezing = Server::Freezing { servers: 8, rate: 250.0, period: 0.5, freeze: 0.05 };
    for by in [SearchBy::Rate, SearchBy::Users] {
        experiment("mmc", fixed, by, "p95<20ms", 0.95, 0.02);
        experiment("usl", Server::Scaling(law), by, "p95<40ms", 0.95, 0.04);
        experiment("freeze", freezing, by, "p95<55ms", 0.95, 0.055);
    }
}
