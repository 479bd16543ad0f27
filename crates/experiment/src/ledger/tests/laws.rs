//! Laws over random records.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use stats::experiment::Sums;

/// A record that owns its texts.
#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Exposure { unit: u8, variant: u16, phase: u16, browser: u8, time: i64 },
    Event { unit: u8, name: &'static str, value: i64, time: i64, id: u16 },
}

const UNITS: [&str; 6] = ["ada", "bob", "cleo", "dan", "eve", "fay"];
const BROWSERS: [&str; 3] = ["", "chrome", "firefox"];

fn owned() -> impl Strategy<Value = Owned> {
    // All within the horizon, a few minutes apart so that equal times occur.
    let time = || (0..70 * 6_i64).prop_map(|step| START + step * HOUR / 6);
    let unit = || 0..UNITS.len() as u8;
    prop_oneof![
        2 => (unit(), prop_oneof![9 => Just(0), 1 => Just(1)], 0..3_u16, 0..3_u8, time()).prop_map(
            |(unit, other, phase, browser, time)| {
                // Mostly one variant for each unit, so that not all are quarantined.
                let variant = (u16::from(unit) + other) % 2;
                Owned::Exposure { unit, variant, phase, browser, time }
            }
        ),
        5 => (unit(), prop_oneof![Just("buy"), Just("view"), Just("noise")], -3..9_i64, time())
            .prop_map(|(unit, name, value, time)| Owned::Event { unit, name, value, time, id: 0 }),
    ]
}

/// Records in an order, and the same records in another, with some of them twice.
fn orders() -> impl Strategy<Value = (Vec<Owned>, Vec<Owned>)> {
    vec(owned(), 0..60).prop_flat_map(|mut records| {
        for (index, record) in records.iter_mut().enumerate() {
            if let Owned::Event { id, .. } = record {
                *id = index as u16;
            }
        }
        let twice = [records.clone(), records.iter().step_by(3).cloned().collect()].concat();
        (Just(records), Just(twice).prop_shuffle())
    })
}

fn apply(ledger: &mut Ledger, records: &[Owned]) {
    let ids: Vec<String> = records.iter().map(id_of).collect();
    let borrowed = records.iter().zip(&ids).map(|(record, event_id)| match *record {
        Owned::Exposure { unit, variant, phase, browser, time } => {
            let attributes =
                Attributes { browser: BROWSERS[usize::from(browser)], ..Attributes::default() };
            let unit = UNITS[usize::from(unit)];
            Record::Exposure(Exposure { phase, attributes, ..exposure(unit, variant, time) })
        }
        Owned::Event { unit, name, value, time, .. } => Record::Event(Event {
            event_id: Some(event_id),
            ..event(UNITS[usize::from(unit)], name, value, time)
        }),
    });
    record(ledger, borrowed.collect());
}

fn id_of(record: &Owned) -> String {
    match record {
        Owned::Exposure { .. } => String::new(),
        Owned::Event { id, .. } => id.to_string(),
    }
}

/// Everything that can be read of a ledger, in a form that can be compared.
fn reading(ledger: &Ledger) -> impl PartialEq + std::fmt::Debug + use<> {
    let summary = ledger.summary("checkout").unwrap();
    let always = i64::MIN..i64::MAX;
    let segments = [Dimension::Browser, Dimension::Day]
        .map(|dimension| ledger.segments("checkout", dimension, always.clone()).unwrap());
    let sample = |phase, variant| {
        let sample = ledger.quantile_sample("checkout", "median", phase, variant).unwrap();
        let mut values: Vec<i64> = sample.values.iter().map(|&value| value as i64).collect();
        values.sort_unstable();
        values
    };
    let samples = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)].map(|(p, v)| sample(p, v));
    (summary.arms, summary.quarantined, segments, samples)
}

/// The sums by the words of the documentation: for each unit its first exposure, then its events
/// within the windows of that.
fn oracle(records: &[Owned]) -> (Vec<Arm>, u64) {
    let mut arms: Vec<Arm> = (0..6)
        .map(|index| Arm {
            phase: index / 2,
            variant: index % 2,
            units: 0,
            metrics: metrics()
                .iter()
                .map(|metric| match metric.kind {
                    MetricKind::Ratio { .. } => MetricSums::Ratio(Box::default()),
                    MetricKind::Quantile { .. } => MetricSums::Quantile,
                    _ => MetricSums::Single(Sums::default()),
                })
                .collect(),
        })
        .collect();
    let mut quarantined = 0;
    for (number, deal) in (0..UNITS.len() as u8).flat_map(|unit| [(unit, 0..2), (unit, 2..3)]) {
        let mut exposures: Vec<_> = records
            .iter()
            .filter_map(|record| match *record {
                Owned::Exposure { unit, variant, phase, browser, time }
                    if unit == number && deal.contains(&phase) =>
                {
                    Some((time, phase, BROWSERS[usize::from(browser)], variant))
                }
                _ => None,
            })
            .collect();
        exposures.sort_unstable();
        let Some(&(first, phase, _, variant)) = exposures.first() else { continue };
        if exposures.iter().any(|exposure| exposure.3 != variant) {
            quarantined += 1;
            continue;
        }
        let total = |wanted: &str, from: i64, until: i64, one: bool| -> i64 {
            let values = records.iter().filter_map(|record| match *record {
                Owned::Event { unit, name, value, time, .. }
                    if unit == number && name == wanted && (from..until).contains(&time) =>
                {
                    Some(if one { 1 } else { value })
                }
                _ => None,
            });
            values.sum()
        };
        let day = 24 * HOUR;
        let after = |name, one| total(name, first, first + day, one);
        let before = |name, one| total(name, first - day, first, one);
        let singles = [
            Some([after("buy", true).min(1), before("buy", true).min(1)]),
            Some([after("view", true), 0]),
            Some([after("buy", false), 0]),
            Some([after("buy", false).clamp(-7, 7), before("buy", false).clamp(-7, 7)]),
            None,
            None,
            Some([total("view", first + 6 * HOUR, first + 30 * HOUR, true).min(1), 0]),
        ];
        let arm = &mut arms[usize::from(phase * 2 + variant)];
        arm.units += 1;
        for (sums, single) in arm.metrics.iter_mut().zip(singles) {
            match (sums, single) {
                (MetricSums::Single(sums), Some(values)) => sums.add(values).unwrap(),
                (MetricSums::Ratio(sums), None) => sums
                    .add([
                        after("buy", false),
                        after("view", true),
                        before("buy", false),
                        before("view", true),
                    ])
                    .unwrap(),
                _ => {}
            }
        }
    }
    (arms, quarantined)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_sums_are_those_of_the_rules((records, other) in orders(), shards in 1..9_usize) {
        let (arms, quarantined) = oracle(&records);
        for records in [&records, &other] {
            let mut ledger = ledger(settings(shards));
            apply(&mut ledger, records);
            let summary = ledger.summary("checkout").unwrap();
            prop_assert_eq!(&summary.arms, &arms);
            prop_assert_eq!(summary.quarantined, quarantined);
        }
    }

    #[test]
    fn order_batches_shards_and_repetition_do_not_matter(
        (records, other) in orders(),
        shards in 1..9_usize,
        batch in 1..20_usize,
    ) {
        let mut one = ledger(settings(1));
        apply(&mut one, &records);
        let mut many = ledger(settings(shards));
        other.chunks(batch).for_each(|records| apply(&mut many, records));
        prop_assert_eq!(reading(&one), reading(&many));
        // Segments and cohorts are parts of the whole.
        let all = many.cohort("checkout", i64::MIN..i64::MAX).unwrap();
        prop_assert_eq!(&all, &many.summary("checkout").unwrap().arms);
    }

    #[test]
    fn ledgers_of_different_units_add_up((records, _) in orders()) {
        let mut whole = ledger(settings(4));
        apply(&mut whole, &records);
        let mut sum = ledger(settings(1)).summary("checkout").unwrap().arms;
        for part in 0..3 {
            let own = records.iter().filter(|record| match **record {
                Owned::Exposure { unit, .. } | Owned::Event { unit, .. } => unit % 3 == part,
            });
            let mut ledger = ledger(settings(2));
            apply(&mut ledger, &own.cloned().collect::<Vec<_>>());
            for (own, other) in sum.iter_mut().zip(ledger.summary("checkout").unwrap().arms) {
                own.units += other.units;
                for (own, other) in own.metrics.iter_mut().zip(&other.metrics) {
                    own.merge(other).unwrap();
                }
            }
        }
        prop_assert_eq!(sum, whole.summary("checkout").unwrap().arms);
    }

    /// Parts that are written at different times, and the entries since the first of them, make the
    /// same ledger again; and once more.
    #[test]
    fn a_ledger_goes_on_from_its_checkpoint(
        (_, records) in orders(),
        pauses in vec(0..4_usize, 5),
    ) {
        let mut live = ledger(settings(4));
        let mut journal: Vec<&[Owned]> = records.chunks(3).collect();
        let later = journal.split_off(journal.len() / 2);
        journal.iter().for_each(|records| apply(&mut live, records));
        let (mut parts, mut since, mut rest) = (Vec::new(), Vec::new(), later.into_iter());
        for (part, pause) in pauses.iter().enumerate() {
            parts.push(live.part(part));
            for records in rest.by_ref().take(*pause) {
                apply(&mut live, records);
                since.push(records);
            }
        }
        let mut restored = Ledger::restore(settings(9), &parts).unwrap();
        prop_assert!(restored.position() <= live.position());
        since.iter().for_each(|records| apply(&mut restored, records));
        for records in rest {
            apply(&mut live, records);
            apply(&mut restored, records);
        }
        prop_assert_eq!(restored.position(), live.position());
        prop_assert_eq!(reading(&restored), reading(&live));
        let parts: Vec<_> = (0..restored.parts()).map(|part| restored.part(part)).collect();
        prop_assert_eq!(reading(&Ledger::restore(settings(4), &parts).unwrap()), reading(&live));
    }

    #[test]
    fn wrong_bytes_are_no_ledger(
        (records, _) in orders(),
        part in 0..5_usize,
        place in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut ledger = ledger(settings(4));
        apply(&mut ledger, &records);
        let mut parts: Vec<_> = (0..ledger.parts()).map(|part| ledger.part(part)).collect();
        let at = place.index(parts[part].len());
        let cut = parts[part].split_off(at);
        let error = Ledger::restore(settings(4), &parts).unwrap_err();
        prop_assert_eq!(error.part, part);
        // A changed byte may be another ledger, never a panic: its file has a checksum.
        parts[part].extend(cut);
        parts[part][at] = byte;
        if let Ok(ledger) = Ledger::restore(settings(4), &parts) {
            prop_assert!(ledger.parts() > 0);
        }
    }
}
