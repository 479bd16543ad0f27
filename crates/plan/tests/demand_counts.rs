//! Counts as people have them: in several shapes, and broken in several ways.

use jiff::tz::TimeZone;
use plan::Series;
use plan::counts::{Counts, CountsError, Finding, STEPS_MIN, read};
use proptest::prelude::*;

/// 2024-01-01 00:00 UTC.
const START_S: i64 = 1_704_067_200;

fn parse(text: &str) -> Result<Counts, CountsError> {
    read(text.as_bytes(), Some(&TimeZone::UTC))
}

/// `n` rows of minutes, each with its number as count, below `header`.
fn minutes(header: &str, n: i64, time: impl Fn(i64) -> String) -> String {
    let rows = (0..n).map(|minute| format!("{},{}\n", time(START_S + 60 * minute), minute % 7 + 3));
    std::iter::once(format!("{header}\n")).chain(rows).collect()
}

fn iso(time_s: i64, format: &str) -> String {
    jiff::Timestamp::from_second(time_s).unwrap().strftime(format).to_string()
}

#[test]
fn all_shapes_mean_the_same() {
    let expected: Vec<f64> = (0..200).map(|minute| f64::from(minute % 7 + 3)).collect();
    let shapes = [
        minutes("timestamp,requests", 200, |t| t.to_string()),
        minutes("ts,value", 200, |t| format!("{t}.25")),
        minutes("timestamp_utc,requests", 200, |t| iso(t, "%Y-%m-%d %H:%M:%S")),
        minutes("timestamp_local_edt,requests", 200, |t| iso(t - 4 * 3600, "%Y-%m-%dT%H:%M:%S")),
        minutes("time,count", 200, |t| iso(t, "%Y-%m-%dT%H:%M:%SZ")),
        minutes("date,hits", 200, |t| iso(t + 3600, "%Y-%m-%dT%H:%M:%S+01:00")),
        minutes("timestamp,requests", 200, |t| (t * 1000).to_string()),
        minutes("timestamp,anything", 200, |t| t.to_string()),
        minutes("# a comment\n\n\u{feff}timestamp,requests", 200, |t| t.to_string())
            .replace('\u{feff}', ""),
        minutes("timestamp,requests", 200, |t| t.to_string()).replace(',', ";"),
        minutes("timestamp,requests", 200, |t| t.to_string())
            .replace(',', "\t")
            .replace('\n', "\r\n"),
        minutes("host,\"timestamp\",requests", 200, |t| format!("\"a,b\",{t}")),
        minutes("", 200, |t| t.to_string()),
    ];
    for text in shapes {
        let counts = parse(&text).unwrap_or_else(|error| panic!("{error}\n{}", &text[..60]));
        let series = &counts.series;
        assert_eq!((series.start_s, series.step_s), (START_S, 60), "{}", &text[..60]);
        assert_eq!(series.counts, expected, "{}", &text[..60]);
        assert_eq!(counts.findings, [], "{}", &text[..60]);
    }
    let zoneless = minutes("timestamp,requests", 200, |t| iso(t, "%Y-%m-%d %H:%M:%S"));
    let counts = read(zoneless.as_bytes(), None).unwrap();
    assert_eq!(counts.findings, [Finding::ZoneAssumed]);
    let east = TimeZone::posix("EAST-3").unwrap();
    let counts = read(zoneless.as_bytes(), Some(&east)).unwrap();
    assert_eq!(counts.series.start_s, START_S - 3 * 3600);
}

#[test]
fn what_says_too_little_is_refused() {
    let header = "timestamp,requests\n";
    assert_eq!(parse("").unwrap_err(), CountsError::Empty);
    assert_eq!(parse(header).unwrap_err(), CountsError::Empty);
    let one = parse(&format!("{header}{START_S},5\n")).unwrap_err();
    assert_eq!(one, CountsError::TooShort { steps: 1, span_s: 0 });
    let hour = parse(&minutes("timestamp,requests", 60, |t| t.to_string())).unwrap_err();
    assert_eq!(hour, CountsError::TooShort { steps: 60, span_s: 3600 });
    let few =
        parse(&minutes("timestamp,requests", 10, |t| (START_S + (t - START_S) * 60).to_string()));
    assert!(matches!(few.unwrap_err(), CountsError::TooShort { steps: 10, .. }) && STEPS_MIN > 10);
    let zeros: String = (0..200).map(|m| format!("{},0\n", START_S + 60 * m)).collect();
    assert_eq!(parse(&(header.to_owned() + &zeros)).unwrap_err(), CountsError::NoRequests);
    let level = parse(&(header.to_owned() + &zeros.replace(",0", ",4"))).unwrap();
    assert_eq!(level.findings, [Finding::Constant { value: 4.0 }]);
    let good = minutes("timestamp,requests", 200, |t| t.to_string());
    let negative = parse(&(good.clone() + &format!("{},-1\n", START_S + 12_000))).unwrap_err();
    assert_eq!(negative, CountsError::Negative { line: 202, value: -1.0 });
    let columns = parse("a,b,c\n1,2,3\n").unwrap_err();
    assert_eq!(
        columns.to_string(),
        "no column of times among a, b, c: name one `timestamp` and one `requests`"
    );
    let noise = parse(&(header.to_owned() + &"x,y\n".repeat(50))).unwrap_err();
    assert!(matches!(noise, CountsError::Unreadable { line: 2, lines: 50, .. }), "{noise}");
    let years = parse("timestamp,requests\n0,1\n604800,2\n1209600,3\n").unwrap_err();
    assert_eq!(years, CountsError::LongStep { step_s: 604_800 });
    let long = format!("timestamp,requests\n{}\n", "9".repeat(2 << 20));
    assert_eq!(parse(&long).unwrap_err(), CountsError::LongLine { line: 2 });
}

/// Rows of ten days of hours, to be broken.
fn rows() -> Vec<String> {
    (0..240).map(|hour| format!("{},{}", START_S + 3600 * hour, hour % 24 + 5)).collect()
}

fn with_header(rows: &[String]) -> String {
    format!("timestamp,requests\n{}\n", rows.join("\n"))
}

#[test]
fn what_is_broken_is_mended_and_said() {
    let whole = parse(&with_header(&rows())).unwrap();
    assert_eq!(whole.findings, []);

    let mut unsorted = rows();
    unsorted.reverse();
    let counts = parse(&with_header(&unsorted)).unwrap();
    assert_eq!(counts.series.counts, whole.series.counts);
    assert_eq!(counts.findings, [Finding::Unsorted { lines: 239 }]);

    let twice = [rows(), rows()].concat();
    let counts = parse(&with_header(&twice)).unwrap();
    assert_eq!(counts.series.counts, whole.series.counts);
    assert!(counts.findings.iter().any(|f| f.to_string().contains("counted once")));

    let parts: Vec<String> = rows().into_iter().flat_map(|row| [format!("{row}0"), row]).collect();
    let counts = parse(&with_header(&parts)).unwrap();
    assert_eq!(counts.series.counts[0], 55.0);
    assert!(counts.findings[0].to_string().contains("they were added"), "{:?}", counts.findings);

    // The clock went back two hours in the middle.
    let mut back = rows();
    back.splice(100..100, (98..100).map(|hour| format!("{},1000", START_S + 3600 * hour)));
    let counts = parse(&with_header(&back)).unwrap();
    let set_back = Finding::SetBack { times: 1, line: 102, by_s: 3600 };
    assert_eq!(counts.findings[0], set_back);
    assert_eq!(counts.series.counts[98], f64::midpoint(98.0 % 24.0 + 5.0, 1000.0));

    // A clock that began in 1970, and one that jumped a year ahead.
    let mut jumps = rows();
    jumps.insert(0, "5,7".into());
    jumps.push(format!("{},7", START_S + 366 * 86_400));
    let counts = parse(&with_header(&jumps)).unwrap();
    assert_eq!(counts.series.counts, whole.series.counts);
    assert_eq!(counts.findings, [Finding::Jumped { lines: 2, line: 2 }]);

    let mut gaps = rows();
    gaps.drain(50..60);
    gaps[10] = format!("{},", START_S + 36_000);
    let counts = parse(&with_header(&gaps)).unwrap();
    assert_eq!((counts.series.len(), counts.series.known()), (240, 229));
    assert_eq!(counts.findings, [Finding::Gaps { gaps: 2, steps: 11, longest_s: 36_000 }]);

    let mut torn = rows();
    torn[7] = "1704092".into();
    torn[8] = "yesterday,5".into();
    let counts = parse(&with_header(&torn)).unwrap();
    let reason = "it has too few fields";
    assert_eq!(counts.findings[0], Finding::Unreadable { lines: 2, first: 9, reason });

    let mut zones = rows();
    zones[3] = "2024-01-01 03:00:00,8".into();
    zones[4] = "2023-12-31T23:00:00-05:00,9".into();
    zones[5] = "2024-01-01T07:00:00+02:00,10".into();
    let counts = parse(&with_header(&zones)).unwrap();
    assert_eq!(counts.series.counts, whole.series.counts);
    assert_eq!(
        counts.findings,
        [
            Finding::SomeZones { with: 2, without: 1 },
            Finding::TwoZones { least_s: -18_000, greatest_s: 7200 },
        ]
    );

    let jitter: Vec<String> = (0..240)
        .map(|hour| {
            format!("{},{}", START_S + 3600 * hour + hour % 3 / 2 * 40 + 100, hour % 24 + 5)
        })
        .collect();
    let counts = parse(&with_header(&jitter)).unwrap();
    assert_eq!(counts.series.counts, whole.series.counts);
    assert_eq!(
        counts.findings,
        [Finding::Shifted { by_s: 100 }, Finding::Irregular { lines: 80, step_s: 3600 },]
    );
    // Most are two seconds early, not 3598 late.
    let early: Vec<String> =
        (0..240).map(|hour| format!("{},{}", START_S + 3600 * hour - 2, hour % 24 + 5)).collect();
    let counts = parse(&with_header(&early)).unwrap();
    assert_eq!((counts.series.start_s, &counts.series.counts), (START_S, &whole.series.counts));
    assert_eq!(counts.findings, [Finding::Shifted { by_s: -2 }]);
    // No distance is that of most, but all are about a minute.
    let late: Vec<String> =
        (0..240).map(|n| format!("{},{}", START_S + 60 * n + n % 3, n % 5 + 20)).collect();
    let counts = parse(&with_header(&late)).unwrap();
    assert_eq!((counts.series.step_s, counts.series.len()), (60, 240));
    assert_eq!(counts.series.total(), (0..240).map(|n| f64::from(n % 5 + 20)).sum::<f64>());
    assert_eq!(counts.findings, [Finding::Irregular { lines: 160, step_s: 60 }]);

    // Counted lines by the minute leave out minutes without any.
    let sparse: String = (0..600_i64)
        .filter(|minute| minute % 11 > 2)
        .map(|minute| format!("{},{}\n", START_S + 60 * minute, minute % 5 + 1))
        .collect();
    let counts = parse(&format!("timestamp,requests\n{sparse}")).unwrap();
    // The first row is of minute 3; minutes 11 to 13 have none.
    assert_eq!(counts.series.counts[7..12], [1.0, 0.0, 0.0, 0.0, 5.0]);
    assert!(matches!(counts.findings[..], [Finding::ZerosLeftOut { .. }]), "{:?}", counts.findings);
}

#[test]
fn arrivals_tell_when_there_was_none() {
    let arrivals = (0..100).map(|i| (START_S + i * 100, 2));
    let counts = Series::from_arrivals(arrivals, TimeZone::UTC).unwrap();
    assert_eq!((counts.series.start_s, counts.series.step_s), (START_S, 1));
    assert_eq!((counts.series.len(), counts.series.known()), (9901, 9901));
    assert_eq!(counts.series.total(), 200.0);
    let none = Series::from_arrivals([], TimeZone::UTC).unwrap_err();
    assert_eq!(none, CountsError::Empty);
    let short = Series::from_arrivals([(0, 1), (9, 1)], TimeZone::UTC).unwrap_err();
    assert_eq!(short, CountsError::TooShort { steps: 10, span_s: 10 });
    // Three years do not fit in seconds.
    let years = [(START_S, 5), (START_S + 3 * 366 * 86_400, 1)];
    let counts = Series::from_arrivals(years, TimeZone::UTC).unwrap();
    assert_eq!((counts.series.step_s, counts.series.total()), (10, 6.0));
    let absurd = Series::from_arrivals([(i64::MIN, 1), (i64::MAX, 1)], TimeZone::UTC).unwrap_err();
    assert_eq!(absurd, CountsError::TooLong);
}

proptest! {
    /// No text panics.
    #[test]
    fn any_text_is_read_or_refused(lines in prop::collection::vec("[0-9:TZ,;\\-+. \"a-z]{0,30}", 0..60)) {
        let _ = parse(&lines.join("\n"));
        let _ = parse(&format!("timestamp,requests\n{}", lines.join("\n")));
    }

    /// No request is lost or made up, whatever the order.
    #[test]
    fn requests_are_kept(
        counts in prop::collection::vec(0_u32..50, 130..200), seed in any::<u64>(),
    ) {
        prop_assume!(counts.iter().any(|count| *count != counts[0]));
        let mut rows: Vec<String> = counts
            .iter()
            .enumerate()
            .map(|(minute, count)| format!("{},{count}", START_S + 60 * minute as i64))
            .collect();
        let n = rows.len();
        for at in 0..n {
            rows.swap(at, (seed.rotate_left(at as u32) % n as u64) as usize);
        }
        let read = parse(&with_header(&rows)).unwrap();
        let exact: Vec<f64> = counts.into_iter().map(f64::from).collect();
        prop_assert_eq!(read.series.counts, exact);
    }
}
