//! Looking at all units while others come in.

use super::*;
use std::cell::{Cell, RefCell};

/// A lender that does as it is told.
struct By<F>(F);

impl<F: Fn(&mut dyn FnMut(&Ledger))> Lend for By<F> {
    fn lend(&self, look: &mut dyn FnMut(&Ledger)) {
        (self.0)(look);
    }
}

const ALWAYS: std::ops::Range<i64> = i64::MIN..i64::MAX;

fn with_units(count: u64) -> Ledger {
    let mut ledger = ledger(settings(4));
    for number in 0..count {
        let unit = number.to_string();
        let exposed = exposure(&unit, (number % 2) as u16, START);
        let seen = event(&unit, "view", 5_000_000, START + 1);
        let bought = event(&unit, "buy", 1_000_000, START + 2);
        let records = vec![Record::Exposure(exposed), Record::Event(seen), Record::Event(bought)];
        record(&mut ledger, records);
    }
    ledger
}

fn units(arms: &[Arm]) -> u64 {
    arms.iter().map(|arm| arm.units).sum()
}

#[test]
fn steps_give_what_one_look_gives() {
    let ledger = with_units(100);
    for rows in [1, 7, 25, 1_000] {
        let steps = Cell::new(0);
        let lend = By(|look: &mut dyn FnMut(&Ledger)| {
            steps.set(steps.get() + 1);
            look(&ledger);
        });
        let all = InSteps::of(&lend, rows);
        assert_eq!(all.cohort("checkout", &ALWAYS), ledger.cohort("checkout", ALWAYS));
        // One look at what is measured, and one at each part of the units.
        assert_eq!(steps.get(), 1 + 100_usize.div_ceil(rows));
        for by in [Dimension::Browser, Dimension::Day] {
            let in_steps = all.segments("checkout", by, &ALWAYS);
            assert_eq!(in_steps, ledger.segments("checkout", by, ALWAYS));
            assert_eq!(units(&in_steps.unwrap().into_values().next().unwrap()), 100);
        }
        let sample = all.quantile_sample("checkout", "median", 0, 1).unwrap();
        assert_eq!(sample.values.len(), 50);
        assert_eq!(Some(sample), ledger.quantile_sample("checkout", "median", 0, 1));
        assert_eq!(all.unit_totals("checkout", "spent", i64::MAX).unwrap(), [1_000_000; 100]);
    }
}

/// Between two steps units come, are taken back, and phases and metrics are added: whoever was there
/// from the beginning is seen once.
#[test]
fn events_go_on_between_steps() {
    let ledger = RefCell::new(with_units(100));
    let come = Cell::new(0);
    let lend = By(|look: &mut dyn FnMut(&Ledger)| {
        look(&ledger.borrow());
        let mut ledger = ledger.borrow_mut();
        let number = come.replace(come.get() + 1);
        if number == 3 {
            let mut wider = definition();
            wider.deals.push(1);
            wider.metrics.push(metric("more", MetricKind::Count { event: "more".into() }));
            define(&mut ledger, &wider);
        }
        let unit = format!("new-{number}");
        let mut exposed = exposure(&unit, 0, START);
        exposed.phase = if number > 3 { 3 } else { 0 };
        record(&mut ledger, vec![Record::Exposure(exposed)]);
    });
    let all = InSteps::of(&lend, 7);
    let arms = all.cohort("checkout", &ALWAYS).unwrap();
    assert_eq!(arms.len(), 6, "the phases of the beginning");
    assert!(arms.iter().all(|arm| arm.metrics.len() == 7), "and its metrics");
    assert_eq!(arms[1].units, 50);
    assert!((50..50 + come.get()).contains(&arms[0].units), "{} {}", arms[0].units, come.get());
    let MetricSums::Single(spent) = &arms[1].metrics[2] else { panic!("{:?}", arms[1]) };
    assert_eq!((spent.units, spent.sums[0]), (50, 50_000_000));
}

#[test]
fn what_is_forgotten_meanwhile_is_not_there() {
    let ledger = RefCell::new(with_units(100));
    let steps = Cell::new(0);
    let lend = By(|look: &mut dyn FnMut(&Ledger)| {
        look(&ledger.borrow());
        if steps.replace(steps.get() + 1) == 5 {
            let mut ledger = ledger.borrow_mut();
            let position = ledger.position();
            ledger.apply(position, START, &Entry::Forget("checkout"));
            define(&mut ledger, &definition());
        }
    });
    let all = InSteps::of(&lend, 7);
    assert_eq!(all.segments("checkout", Dimension::Browser, &ALWAYS), None);
    assert_eq!(steps.get(), 7, "it ends at once");
    assert_eq!(units(&all.cohort("checkout", &ALWAYS).unwrap()), 0);
}
