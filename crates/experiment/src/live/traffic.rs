//! What the gateway saw of the requests of each variant, summed up between two entries of the
//! journal.

use crate::event::{COUNT_MAX, Record, Traffic, UnixMicros};
use crate::ledger::bucket;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// Parts with a lock each; a thread has its own as long as there are not more of them.
const STRIPES: usize = 16;

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// From its head to the end of the answer.
    pub duration_us: u64,
    /// Bytes of the answer.
    pub bytes: u64,
    /// Whether it failed.
    pub failed: bool,
}

#[derive(Debug, Clone, Default)]
struct Sums {
    requests: u64,
    errors: u64,
    bytes: u64,
    latency: BTreeMap<i16, u64>,
}

/// Sums of one experiment by variant and phase: a few.
type Arms = Vec<((u16, u16), Sums)>;

/// Sums that are not in the journal yet, by experiment.
#[derive(Debug)]
pub(super) struct Gathered([Mutex<HashMap<String, Arms>>; STRIPES]);

fn arm(arms: &mut Arms, variant: u16, phase: u16) -> &mut Sums {
    let found = arms.iter().position(|(key, _)| *key == (variant, phase));
    let at = found.unwrap_or_else(|| {
        arms.push(((variant, phase), Sums::default()));
        arms.len() - 1
    });
    &mut arms[at].1
}

impl Gathered {
    pub(super) fn new() -> Gathered {
        Gathered(std::array::from_fn(|_| Mutex::default()))
    }

    pub(super) fn add(&self, experiment: &str, variant: u16, phase: u16, request: Request) {
        let mut hasher = DefaultHasher::new();
        std::thread::current().id().hash(&mut hasher);
        let stripe = &self.0[hasher.finish() as usize % STRIPES];
        let mut stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        let arms = match stripe.get_mut(experiment) {
            Some(arms) => arms,
            None => stripe.entry(experiment.to_owned()).or_default(),
        };
        let sums = arm(arms, variant, phase);
        sums.requests += 1;
        sums.errors += u64::from(request.failed);
        sums.bytes = sums.bytes.saturating_add(request.bytes).min(COUNT_MAX);
        let micros = i64::try_from(request.duration_us).unwrap_or(i64::MAX);
        *sums.latency.entry(bucket(micros)).or_default() += 1;
    }

    /// Takes the sums as they are, so many at once, and begins anew.
    pub(super) fn take(&self, at_once: usize) -> Vec<Taken> {
        let mut all: HashMap<String, Arms> = HashMap::new();
        for stripe in &self.0 {
            let stripe =
                std::mem::take(&mut *stripe.lock().unwrap_or_else(PoisonError::into_inner));
            for (experiment, arms) in stripe {
                let all = all.entry(experiment).or_default();
                arms.into_iter().for_each(|((v, p), sums)| arm(all, v, p).merge(sums));
            }
        }
        let each = |(experiment, arms): (String, Arms)| {
            let one = move |((variant, phase), sums)| (experiment.clone(), variant, phase, sums);
            arms.into_iter().map(one)
        };
        let mut all = all.into_iter().flat_map(each).peekable();
        let mut taken = Vec::new();
        while all.peek().is_some() {
            taken.push(Taken(all.by_ref().take(at_once.max(1)).collect()));
        }
        taken
    }

    /// Puts back what could not be written.
    pub(super) fn put_back(&self, taken: Taken) {
        let [stripe, ..] = &self.0;
        let mut stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        for (experiment, variant, phase, sums) in taken.0 {
            arm(stripe.entry(experiment).or_default(), variant, phase).merge(sums);
        }
    }
}

/// Sums on their way to the journal.
#[derive(Debug)]
pub(super) struct Taken(Vec<(String, u16, u16, Sums)>);

impl Taken {
    pub(super) fn records(&self, time_us: UnixMicros) -> Vec<Record<'_>> {
        let each = self.0.iter().map(|(experiment, variant, phase, sums)| {
            Record::Traffic(Traffic {
                experiment,
                variant: *variant,
                phase: *phase,
                time_us,
                requests: sums.requests,
                errors: sums.errors,
                bytes: sums.bytes,
                latency: sums.latency.iter().map(|(&bucket, &count)| (bucket, count)).collect(),
            })
        });
        each.collect()
    }
}

impl Sums {
    fn merge(&mut self, other: Sums) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.bytes = self.bytes.saturating_add(other.bytes).min(COUNT_MAX);
        for (bucket, count) in other.latency {
            *self.latency.entry(bucket).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_taken_once_and_can_be_put_back() {
        let gathered = Gathered::new();
        let request = Request { duration_us: 1_000, bytes: 10, failed: false };
        gathered.add("a", 1, 0, request);
        gathered.add("a", 1, 0, Request { failed: true, ..request });
        gathered.add("a", 0, 0, request);
        let taken = gathered.take(1);
        assert_eq!(taken.len(), 2);
        assert!(gathered.take(1).is_empty());
        taken.into_iter().for_each(|each| gathered.put_back(each));
        gathered.add("a", 1, 0, request);
        let taken = gathered.take(10);
        let mut records: Vec<_> = taken.iter().flat_map(|each| each.records(7)).collect();
        records.sort_by_key(|record| match record {
            Record::Traffic(traffic) => traffic.variant,
            _ => u16::MAX,
        });
        let expected = |variant, requests, errors| {
            Record::Traffic(Traffic {
                experiment: "a",
                variant,
                phase: 0,
                time_us: 7,
                requests,
                errors,
                bytes: requests * 10,
                latency: vec![(bucket(1_000), requests)],
            })
        };
        assert_eq!(records, [expected(0, 1, 0), expected(1, 3, 1)]);
    }
}
