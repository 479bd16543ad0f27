//! Any split of the records and any order of merging give the same report.

use logs::report::{Aggregate, Limits, LogReport, Options, Setup};
use logs::{Record, Sink};
use proptest::prelude::*;

const AGENTS: [&str; 4] = ["Chrome/1 Windows", "Googlebot/2.1", "curl/8", "Firefox/1 Linux"];
const PATHS: [&str; 6] = ["/", "/user/7", "/.env", "/a.css", "/login?x=1", "/user/8"];
const STATUSES: [u16; 5] = [200, 301, 404, 401, 503];

#[derive(Debug, Clone)]
struct Line {
    at_s: i64,
    client: String,
    agent: usize,
    path: usize,
    status: usize,
    duration_us: Option<u64>,
    post: bool,
    part: usize,
}

fn line() -> impl Strategy<Value = Line> {
    (
        0..40_000_i64,
        0..12_u8,
        0..4_usize,
        0..6_usize,
        0..5_usize,
        any::<Option<u32>>(),
        any::<bool>(),
        0..4_usize,
    )
        .prop_map(|(at_s, client, agent, path, status, duration, post, part)| Line {
            at_s,
            client: format!("192.0.2.{client}"),
            agent,
            path,
            status,
            duration_us: duration.map(|us| u64::from(us) / 16),
            post,
            part,
        })
}

fn record(aggregate: &mut Aggregate, line: &Line) {
    aggregate.record(&Record {
        time_us: line.at_s * 1_000_000,
        time_is_end: line.part.is_multiple_of(2),
        client: line.client.as_bytes(),
        method: Some(if line.post { b"POST" } else { b"GET" }),
        target: Some(PATHS[line.path].as_bytes()),
        status: Some(STATUSES[line.status]),
        bytes: Some(line.at_s as u64),
        agent: Some(AGENTS[line.agent].as_bytes()),
        duration_us: line.duration_us,
        upstream: Some(if line.post { b"a" } else { b"b" }),
        weight: 1,
        ..Record::default()
    });
}

fn check(lines: &[Line], setup: &Setup, order: [usize; 4]) -> (LogReport, LogReport) {
    let mut whole = Aggregate::new(setup);
    let threaded = Setup { jobs: 3, ..setup.clone() };
    let mut parts: Vec<Option<Aggregate>> =
        (0..4).map(|_| Some(Aggregate::new(&threaded))).collect();
    for line in lines {
        record(&mut whole, line);
        record(parts[line.part].as_mut().expect("not merged yet"), line);
    }
    let mut merged = order
        .iter()
        .map(|at| parts[*at].take().expect("each once"))
        .reduce(Aggregate::merge)
        .expect("four parts");
    assert_eq!(merged.instances(), whole.instances());
    (merged.finish(&Options::default()), whole.finish(&Options::default()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_split_and_order_give_the_same_report(
        lines in prop::collection::vec(line(), 0..120),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
    ) {
        let (merged, whole) = check(&lines, &Setup::default(), order);
        prop_assert_eq!(merged, whole);
    }

    #[test]
    fn estimates_and_coarser_steps_do_not_depend_on_order_either(
        lines in prop::collection::vec(line(), 0..120),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
    ) {
        let limits = Limits { visitors: 5, rates: 40, ..Limits::default() };
        let (merged, whole) = check(&lines, &Setup { limits, ..Setup::default() }, order);
        prop_assert_eq!(merged, whole);
    }
}

#[test]
fn beyond_the_cap_on_keys_nothing_is_lost_but_names() {
    let setup = Setup { limits: Limits { keys: 3, ..Limits::default() }, ..Setup::default() };
    let mut aggregate = Aggregate::new(&setup);
    let paths: Vec<String> = (0..10).map(|n| format!("/p{n}")).collect();
    for path in &paths {
        aggregate.record(&Record {
            client: b"192.0.2.1",
            target: Some(path.as_bytes()),
            weight: 1,
            ..Record::default()
        });
    }
    let report = aggregate.finish(&Options::default());
    let rows = &report.panels[logs::report::Panel::Path];
    assert_eq!(rows.iter().map(|row| row.hits).sum::<u64>(), 10);
    assert_eq!((rows[0].key.as_str(), rows[0].hits), ("(other)", 7));
    assert!(report.notes.iter().any(|note| note.contains("distinct paths")), "{:?}", report.notes);
}
