//! Prints how long an analysis takes and how much memory a unit has:
//! `cargo run --release -p experiment --example analysis_speed -- [UNITS ...]`.

use experiment::analysis::{Data, Depth, Plan, Question, analyse};
use experiment::event::{Attributes, Entry, Event, Exposure, Record};
use experiment::ledger::{DAY_US, Ledger, MetricKind, Results, Settings, Term, UNITS_MAX};
use experiment::metric::{Better, MARGIN, Measure, MetricSpec, definition, resolve};
use experiment::model::Experiment;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Units of one entry.
const BATCH: u64 = 1_000;
const START_US: i64 = 20_000 * DAY_US;

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes: Vec<u64> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        sizes = vec![1_000_000, 10_000_000];
    }
    println!("five metrics (conversion with its days, count, revenue, ratio, quantile)\n");
    println!("     units   records/s   B/unit   sums, ms   units, ms   of which quantile, ms");
    for units in sizes {
        measure(units)?;
    }
    Ok(())
}

fn metrics() -> Vec<MetricSpec> {
    let (buy, view) = (|| "buy".to_owned(), || "view".to_owned());
    let spec = |name: &str, kind| MetricSpec {
        name: name.to_owned(),
        description: String::new(),
        measure: Measure::Events { kind, delay_us: 0, window_us: 7 * DAY_US, lookback_us: 0 },
        better: Better::Higher,
        margin: MARGIN,
    };
    vec![
        spec("bought", MetricKind::Conversion { event: buy() }),
        spec("views", MetricKind::Count { event: view() }),
        spec("revenue", MetricKind::Revenue { event: buy(), cap: 1_000_000_000, percentile: None }),
        spec(
            "per-view",
            MetricKind::Ratio {
                numerator: Term::Total { event: buy() },
                denominator: Term::Count { event: view() },
            },
        ),
        spec("wait", MetricKind::Quantile { event: view(), ppm: 950_000 }),
    ]
}

fn measure(units: u64) -> Result<(), Box<dyn Error>> {
    let start_ms = u64::try_from(START_US / 1_000)?;
    let experiment: Experiment = serde_json::from_value(serde_json::json!({
        "key": "shop", "status": "running", "unit": {"device": {"cookie": "uid"}},
        "variants": [{"key": "control"}, {"key": "new"}],
        "phases": [{"since": start_ms, "weights": [1, 1]}],
        "primary": "bought", "metrics": ["views", "revenue", "per-view", "wait"],
    }))?;
    let metrics = resolve(&experiment, &metrics()).map_err(|all| all.join("\n"))?;
    let text = serde_json::to_string(&definition(&experiment, &metrics, None)?)?;
    let settings = Settings { units_max: UNITS_MAX, recent_max: UNITS_MAX, ..Settings::default() };
    let mut ledger = Ledger::new(settings);
    ledger.apply(0, START_US, &Entry::Define(&text));
    let clock = Instant::now();
    let mut records = 0;
    let batches = units.div_ceil(BATCH);
    for batch in 0..batches {
        // Units come over two weeks.
        let passed = i64::try_from(u64::try_from(14 * DAY_US)? / batches * batch)?;
        records += fill(&mut ledger, batch, START_US + passed);
    }
    let filled = clock.elapsed();
    let bytes = ledger.memory_bytes() as f64 / units as f64;
    let store = ledger;
    let plan = Plan::default();
    // Three weeks later.
    let now = start_ms + 21 * 86_400_000;
    let question = Question::new(&experiment, &metrics, &plan, now);
    let timed = |depth| -> Result<Duration, Box<dyn Error>> {
        let clock = Instant::now();
        let data = Data::gather(&store, &question, depth).ok_or("nothing is measured")?;
        black_box(analyse(&question, &data));
        Ok(clock.elapsed())
    };
    let (sums, all) = (timed(Depth::Sums)?, timed(Depth::Units)?);
    let clock = Instant::now();
    for variant in 0..2 {
        black_box(store.quantile_sample("shop", "wait", 0, variant));
    }
    let quantile = clock.elapsed();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{units:>10} {:>11.0} {bytes:>8.0} {:>10.2} {:>11.0} {:>23.0}",
        records as f64 / filled.as_secs_f64(),
        ms(sums),
        ms(all),
        ms(quantile)
    );
    Ok(())
}

/// A thousand units: each is exposed and views a page, one in ten buys. Returns the records.
fn fill(ledger: &mut Ledger, batch: u64, time_us: i64) -> u64 {
    let first = batch * BATCH;
    let names: Vec<String> = (first..first + BATCH)
        .map(|number| format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    let attributes = Attributes { browser: "firefox", country: "DE", route: "", cache: "" };
    let mut records = Vec::with_capacity(names.len() * 3);
    for (at, unit) in names.iter().enumerate() {
        records.push(Record::Exposure(Exposure {
            experiment: "shop",
            unit,
            variant: u16::from(at % 2 == 1),
            phase: 0,
            time_us,
            attributes,
        }));
        let event = |name, value| {
            Record::Event(Event { unit, name, value, time_us: time_us + 1, event_id: None })
        };
        let wait = 100_000 + ((at as i64 * 7_919) % 1_000) * 1_000;
        records.push(event("view", wait));
        if at % 10 < 2 {
            records.push(event("buy", 20_000_000 + (at as i64 % 97) * 100_000));
        }
    }
    let count = records.len() as u64;
    let entry = Entry::Batch { id: None, records };
    ledger.apply(ledger.position(), time_us, &entry);
    count
}
