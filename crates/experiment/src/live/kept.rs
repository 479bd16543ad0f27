//! What is kept about units: assignments of sticky experiments, and which user belongs to which
//! device. The first writer wins.

use crate::evaluate::{StickyRecord, StickyView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use xxhash_rust::xxh3::xxh3_64;

/// Parts with a lock each.
const SHARDS: usize = 64;

/// One thing that is kept, as storage sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Kept {
    /// A unit has a variant in an experiment.
    Assignment {
        /// Id of the unit.
        unit: String,
        /// Key of the experiment.
        experiment: String,
        /// The assignment.
        record: StickyRecord,
    },
    /// A user belongs to the device on which they were first seen.
    Link {
        /// Id of the user.
        user: String,
        /// Id of the device.
        device: String,
    },
}

/// The assignments of one unit.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(Vec<(Box<str>, StickyRecord)>);

impl StickyView for Records {
    fn get(&self, experiment: &str) -> Option<&StickyRecord> {
        self.0.iter().find(|(key, _)| **key == *experiment).map(|(_, record)| record)
    }
}

/// What became of something that was to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Keeping<T> {
    /// It is kept now, and is to be stored.
    New,
    /// Somebody was first; this is what counts.
    Before(T),
    /// There is no room.
    Full,
}

/// Everything that is kept, in memory.
#[derive(Debug)]
pub(super) struct Keep {
    units: Sharded<Arc<Records>>,
    links: Sharded<Arc<str>>,
    /// Assignments and links.
    held: AtomicUsize,
    max: usize,
}

impl Keep {
    pub(super) fn new(max: usize) -> Keep {
        Keep { units: Sharded::new(), links: Sharded::new(), held: AtomicUsize::new(0), max }
    }

    /// The assignments of a unit.
    pub(super) fn records(&self, unit: &str) -> Option<Arc<Records>> {
        self.units.get(unit)
    }

    /// The device of a user.
    pub(super) fn device(&self, user: &str) -> Option<Arc<str>> {
        self.links.get(user)
    }

    /// How many assignments and links are kept.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Keeps an assignment unless there is one of the same version or a higher one.
    pub(super) fn assign(
        &self,
        unit: &str,
        experiment: &str,
        record: &StickyRecord,
    ) -> Keeping<StickyRecord> {
        self.units.write(unit, |units| {
            let Some(records) = units.get_mut(unit) else {
                if self.held() >= self.max {
                    return Keeping::Full;
                }
                self.held.fetch_add(1, Ordering::Relaxed);
                let records = Records(vec![(experiment.into(), record.clone())]);
                units.insert(unit.into(), Arc::new(records));
                return Keeping::New;
            };
            let records = Arc::make_mut(records);
            match records.0.iter_mut().find(|(key, _)| **key == *experiment) {
                Some((_, before)) if before.version >= record.version => {
                    return Keeping::Before(before.clone());
                }
                Some((_, before)) => before.clone_from(record),
                None if self.held() >= self.max => return Keeping::Full,
                None => {
                    self.held.fetch_add(1, Ordering::Relaxed);
                    records.0.push((experiment.into(), record.clone()));
                }
            }
            Keeping::New
        })
    }

    /// Links a user with a device unless there is a link.
    pub(super) fn link(&self, user: &str, device: &str) -> Keeping<Arc<str>> {
        self.links.write(user, |links| {
            if let Some(before) = links.get(user) {
                return Keeping::Before(Arc::clone(before));
            }
            if self.held() >= self.max {
                return Keeping::Full;
            }
            self.held.fetch_add(1, Ordering::Relaxed);
            links.insert(user.into(), device.into());
            Keeping::New
        })
    }

    /// Takes in what was stored.
    pub(super) fn restore(&self, kept: &Kept) {
        match kept {
            Kept::Assignment { unit, experiment, record } => {
                self.assign(unit, experiment, record);
            }
            Kept::Link { user, device } => {
                self.link(user, device);
            }
        }
    }
}

/// A map in parts.
#[derive(Debug)]
struct Sharded<V>(Box<[Shard<V>]>);

type Shard<V> = RwLock<HashMap<Box<str>, V>>;

impl<V: Clone> Sharded<V> {
    fn new() -> Sharded<V> {
        Sharded((0..SHARDS).map(|_| RwLock::default()).collect())
    }

    fn get(&self, key: &str) -> Option<V> {
        self.shard(key).read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn write<T>(&self, key: &str, act: impl FnOnce(&mut HashMap<Box<str>, V>) -> T) -> T {
        act(&mut self.shard(key).write().unwrap_or_else(PoisonError::into_inner))
    }

    fn shard(&self, key: &str) -> &Shard<V> {
        &self.0[xxh3_64(key.as_bytes()) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: u32, variant: &str) -> StickyRecord {
        StickyRecord { version, variant: variant.to_owned(), phase: 0 }
    }

    #[test]
    fn the_first_writer_wins_until_the_version_is_raised() {
        let keep = Keep::new(10);
        assert_eq!(keep.assign("u", "a", &record(0, "x")), Keeping::New);
        assert_eq!(keep.assign("u", "a", &record(0, "y")), Keeping::Before(record(0, "x")));
        assert_eq!(keep.assign("u", "b", &record(0, "y")), Keeping::New);
        assert_eq!(keep.assign("u", "a", &record(1, "y")), Keeping::New);
        assert_eq!(keep.records("u").unwrap().get("a"), Some(&record(1, "y")));
        assert_eq!(keep.records("u").unwrap().get("c"), None);
        assert_eq!(keep.link("user", "d1"), Keeping::New);
        assert_eq!(keep.link("user", "d2"), Keeping::Before("d1".into()));
        assert_eq!(keep.held(), 3);
    }

    #[test]
    fn what_has_no_room_is_refused() {
        let keep = Keep::new(2);
        keep.restore(&Kept::Link { user: "user".into(), device: "d".into() });
        let (unit, experiment) = ("u".to_owned(), "a".to_owned());
        keep.restore(&Kept::Assignment { unit, experiment, record: record(0, "x") });
        assert_eq!(keep.assign("v", "a", &record(0, "x")), Keeping::Full);
        assert_eq!(keep.link("other", "d"), Keeping::Full);
        assert_eq!(keep.assign("u", "b", &record(0, "x")), Keeping::Full);
        assert_eq!(keep.assign("u", "a", &record(1, "y")), Keeping::New, "in the place of another");
        assert_eq!(keep.held(), 2);
        assert_eq!(keep.device("user").as_deref(), Some("d"));
    }
}
