//! Every trace is read and described as stored here, or refused with a reason. Skipped, with a note,
//! where the folder of traces is absent.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use plan::counts::{self, Counts, CountsError, Finding};
use plan::demand::{Demand, DemandParams, Silence, describe};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/traces");

/// File; length of a step in seconds, steps, known steps, requests (rounded), outages.
#[rustfmt::skip]
const EXPECTED: [(&str, u32, usize, usize, f64, usize); 28] = [
    ("gocrane/input0.csv", 60, 11520, 11520, 692137.0, 0),
    ("gocrane/input1.csv", 60, 23040, 23040, 56015.0, 0),
    ("gocrane/input13.csv", 60, 23040, 23040, 5959799.0, 0),
    ("gocrane/input14.csv", 60, 23040, 23040, 946312.0, 0),
    ("gocrane/input15.csv", 15, 89632, 89632, 1082120390.0, 0),
    ("gocrane/input4.csv", 60, 21600, 21600, 5557.0, 0),
    ("gocrane/input8.csv", 60, 23040, 23040, 10791717.0, 0),
    ("gocrane/input9.csv", 60, 23040, 23040, 10588450.0, 0),
    ("nab/Twitter_volume_AAPL.csv", 300, 15902, 15902, 1360453.0, 0),
    ("nab/Twitter_volume_AMZN.csv", 300, 15831, 15831, 843768.0, 1),
    ("nab/Twitter_volume_FB.csv", 300, 15833, 15833, 282006.0, 1),
    ("nab/Twitter_volume_GOOG.csv", 300, 15842, 15842, 328506.0, 1),
    ("nab/Twitter_volume_UPS.csv", 300, 15866, 15866, 86570.0, 0),
    ("nab/art_load_balancer_spikes.csv", 300, 4032, 4032, 434.0, 0),
    ("nab/cpu_utilization_asg_misconfiguration.csv", 300, 18050, 18050, 691004.0, 0),
    ("nab/ec2_cpu_utilization_5f5533.csv", 300, 4032, 4032, 173821.0, 0),
    ("nab/ec2_cpu_utilization_ac20cd.csv", 300, 4037, 4032, 165252.0, 2),
    ("nab/ec2_cpu_utilization_fe7f93.csv", 300, 4032, 4032, 23301.0, 0),
    ("nab/ec2_network_in_257a54.csv", 300, 4034, 4032, 2301505330.0, 2),
    ("nab/ec2_request_latency_system_failure.csv", 300, 4033, 4020, 181528.0, 2),
    ("nab/elb_request_count_8c0756.csv", 300, 4040, 4034, 249327.0, 5),
    ("nab/grok_asg_anomaly.csv", 300, 4621, 4621, 127931.0, 336),
    ("nab/nyc_taxi.csv", 1800, 10320, 10320, 156219716.0, 0),
    ("nab/occupancy_6005.csv", 300, 4641, 2374, 10677.0, 12),
    ("nab/rds_cpu_utilization_e47b3b.csv", 300, 4032, 4032, 76345.0, 0),
    ("nasa/nasa_per_minute.csv", 60, 89281, 84334, 3461610.0, 83),
    ("wikipedia/wikipedia_hourly_requests.csv", 3600, 10621, 10537, 167095668708.0, 5),
    ("worldcup98/worldcup98_per_minute.csv", 60, 125310, 125304, 1352804107.0, 7),
];

/// Files without counts over time.
const REFUSED: [&str; 3] = [
    "invitro/Azure2021_200.csv",
    "invitro/azure2019_durations_example.csv",
    "invitro/azure2019_invocations_example.csv",
];

fn read(name: &str) -> Option<Result<Counts, CountsError>> {
    let path = Path::new(FOLDER).join(name);
    let Ok(file) = File::open(&path) else {
        println!("skipped: no {}", path.display());
        return None;
    };
    Some(counts::read(BufReader::new(file), None))
}

fn described(name: &str) -> Option<(Counts, Demand)> {
    let counts = read(name)?.unwrap();
    let demand = describe(&counts.series, &DemandParams::default());
    Some((counts, demand))
}

#[test]
fn every_trace_is_as_stored() {
    for (name, step_s, steps, known, total, outages) in EXPECTED {
        let Some((counts, demand)) = described(name) else { return };
        let series = &counts.series;
        assert_eq!((series.step_s, series.len(), series.known()), (step_s, steps, known), "{name}");
        assert!((demand.total - total).abs() <= 0.51, "{name}: {}", demand.total);
        assert_eq!(demand.outages.len(), outages, "{name}");
        assert_eq!(series.start_s % i64::from(step_s), 0, "{name}");
        assert!(demand.burst.is_some_and(|burst| burst.peak_step >= 1.0), "{name}");
    }
    for name in REFUSED {
        let error = read(name).unwrap().unwrap_err();
        assert!(matches!(error, CountsError::NoColumn { column: "times", .. }), "{name}: {error}");
    }
}

/// The storm of August 1995 took the server from the net, from the 1st, 14:52, to the 3rd, 4:36, as
/// the archive says; and nothing was written from 28 July on.
#[test]
fn the_outage_of_nasa() {
    let Some((counts, demand)) = described("nasa/nasa_per_minute.csv") else { return };
    let of = |silence: Silence| {
        let outages = demand.outages.iter().filter(|outage| outage.silence == silence);
        outages.max_by_key(|outage| outage.steps).unwrap()
    };
    let clock = |time_s: i64| {
        let time = jiff::Timestamp::from_second(time_s).unwrap();
        time.to_zoned(counts.series.zone.clone()).strftime("%m-%d %H:%M").to_string()
    };
    let storm = of(Silence::Zero);
    assert_eq!([clock(storm.start_s), clock(storm.end_s)], ["08-01 14:53", "08-03 04:36"]);
    let log = of(Silence::Unknown);
    assert_eq!([clock(log.start_s), clock(log.end_s)], ["07-28 13:33", "08-01 00:00"]);
    assert!(demand.masked.counts[storm.first].is_nan());
    let gap = Finding::Gaps { gaps: 1, steps: 4947, longest_s: 4947 * 60 };
    assert_eq!(counts.findings, [gap]);
}

#[test]
fn rhythms_of_traces() {
    for (name, daily, weekly) in [
        ("wikipedia/wikipedia_hourly_requests.csv", true, true),
        ("nasa/nasa_per_minute.csv", true, true),
        ("nab/nyc_taxi.csv", true, true),
        ("nab/Twitter_volume_UPS.csv", false, false),
        ("nab/art_load_balancer_spikes.csv", false, false),
    ] {
        let Some((_, demand)) = described(name) else { return };
        let found = [demand.daily, demand.weekly].map(|s| s.is_some_and(|s| s.is_significant()));
        assert_eq!(found, [daily, weekly], "{name}");
    }
    // Known autocorrelations of this trace: .88 at a day, .90 at a week of hours.
    let Some((counts, _)) = described("wikipedia/wikipedia_hourly_requests.csv") else { return };
    let rows: Vec<f64> = counts.series.counts.into_iter().filter(|c| c.is_finite()).collect();
    let acf = |lag| plan::demand::season::autocorrelation(&rows, lag);
    assert!((acf(24) - 0.88).abs() < 0.01, "{}", acf(24));
    assert!((acf(168) - 0.90).abs() < 0.01, "{}", acf(168));
}
