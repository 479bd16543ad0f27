//! Who sends batches, and up to where they were counted: memory grows with producers, not with
//! batches.

use super::limits::{PRODUCER_ACTIVE_US, PRODUCER_IDLE_US, PRODUCERS_MAX};
use crate::event::{BatchId, DecodeError, PRODUCER_BYTES_MAX, Reader, UnixMicros, Writer};
use std::collections::HashMap;

/// What is done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is the next one.
    Next,
    /// It was counted before.
    Duplicate,
    /// One before it is missing.
    Gap { expected: u64 },
    /// The producer lives a later life.
    Fenced { epoch: u32 },
    /// There are too many producers.
    Full,
}

#[derive(Debug, Clone, Copy)]
struct Producer {
    epoch: u32,
    next: u64,
    /// Time of the newest record that it sent.
    newest_us: UnixMicros,
    received_us: UnixMicros,
}

#[derive(Debug, Default)]
pub(super) struct Producers(HashMap<Box<str>, Producer>);

impl Producers {
    /// What is to be done with a batch; nothing changes.
    pub(super) fn check(&self, id: &BatchId<'_>, received_us: UnixMicros) -> Admission {
        let expected = match self.0.get(id.producer) {
            Some(producer) if id.epoch < producer.epoch => {
                return Admission::Fenced { epoch: producer.epoch };
            }
            Some(producer) if id.epoch == producer.epoch => producer.next,
            Some(_) => 0,
            None if self.0.len() < PRODUCERS_MAX || self.idle(received_us).is_some() => 0,
            None => return Admission::Full,
        };
        match id.sequence {
            sequence if sequence < expected => Admission::Duplicate,
            sequence if sequence > expected => Admission::Gap { expected },
            _ => Admission::Next,
        }
    }

    /// Notes that a batch is counted.
    pub(super) fn counted(
        &mut self,
        id: &BatchId<'_>,
        received_us: UnixMicros,
        newest_us: UnixMicros,
    ) {
        if self.0.len() >= PRODUCERS_MAX
            && !self.0.contains_key(id.producer)
            && let Some(idle) = self.idle(received_us)
        {
            self.0.remove(&idle);
        }
        let next = id.sequence.saturating_add(1);
        let before = self.0.get(id.producer).map_or(i64::MIN, |producer| producer.newest_us);
        let newest_us = newest_us.max(before);
        let producer = Producer { epoch: id.epoch, next, newest_us, received_us };
        self.0.insert(id.producer.into(), producer);
    }

    /// The producer that was silent for longest, if for long enough. Looked for only when there are
    /// too many.
    fn idle(&self, now: UnixMicros) -> Option<Box<str>> {
        let oldest = self.0.iter().min_by(|one, other| {
            one.1.received_us.cmp(&other.1.received_us).then_with(|| one.0.cmp(other.0))
        })?;
        (now - oldest.1.received_us >= PRODUCER_IDLE_US).then(|| oldest.0.clone())
    }

    /// The time through which every producer that is active has sent everything, if it sends in
    /// order.
    pub(super) fn complete_through(&self, now: UnixMicros) -> Option<UnixMicros> {
        let active = self.0.values().filter(|it| now - it.received_us <= PRODUCER_ACTIVE_US);
        active.map(|producer| producer.newest_us).min()
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.0.len() as u64);
        for (name, producer) in &self.0 {
            out.text(name);
            out.number(producer.epoch.into());
            out.number(producer.next);
            out.signed(producer.newest_us);
            out.signed(producer.received_us);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Producers, DecodeError> {
        let mut producers = Producers::default();
        for _ in 0..from.count(PRODUCERS_MAX, "number of producers")? {
            let name = from.text(PRODUCER_BYTES_MAX, "producer")?;
            let producer = Producer {
                epoch: from.at_most(u32::MAX.into(), "epoch")? as u32,
                next: from.number()?,
                newest_us: from.signed()?,
                received_us: from.signed()?,
            };
            producers.0.insert(name.into(), producer);
        }
        Ok(producers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u32, sequence: u64) -> BatchId<'static> {
        BatchId { producer: "gateway-1", epoch, sequence }
    }

    #[test]
    fn batches_count_in_order_and_once() {
        let mut producers = Producers::default();
        assert_eq!(producers.check(&id(1, 3), 0), Admission::Gap { expected: 0 });
        for sequence in 0..3 {
            assert_eq!(producers.check(&id(1, sequence), 0), Admission::Next);
            producers.counted(&id(1, sequence), 0, 10);
        }
        assert_eq!(producers.check(&id(1, 2), 0), Admission::Duplicate);
        assert_eq!(producers.check(&id(1, 4), 0), Admission::Gap { expected: 3 });
        assert_eq!(producers.check(&id(0, 3), 0), Admission::Fenced { epoch: 1 });
        assert_eq!(producers.check(&id(2, 3), 0), Admission::Gap { expected: 0 });
        assert_eq!(producers.check(&id(2, 0), 0), Admission::Next);
    }

    #[test]
    fn a_silent_producer_makes_room_and_an_active_one_does_not() {
        let mut producers = Producers::default();
        for number in 0..PRODUCERS_MAX {
            let name = number.to_string();
            let id = BatchId { producer: &name, epoch: 0, sequence: 0 };
            producers.counted(&id, number as i64, 0);
        }
        assert_eq!(producers.check(&id(0, 0), PRODUCER_IDLE_US - 1), Admission::Full);
        assert_eq!(producers.check(&id(0, 0), PRODUCER_IDLE_US), Admission::Next);
        producers.counted(&id(0, 0), PRODUCER_IDLE_US, 0);
        assert_eq!(producers.0.len(), PRODUCERS_MAX);
        assert!(!producers.0.contains_key("0") && producers.0.contains_key("1"));
    }

    #[test]
    fn the_slowest_active_producer_holds_completeness_back() {
        let mut producers = Producers::default();
        assert_eq!(producers.complete_through(0), None);
        producers.counted(&id(0, 0), 100, 90);
        producers.counted(&BatchId { producer: "other", epoch: 0, sequence: 0 }, 101, 50);
        assert_eq!(producers.complete_through(101), Some(50));
        producers.counted(&id(0, 1), 100 + PRODUCER_ACTIVE_US + 2, 200);
        assert_eq!(producers.complete_through(100 + PRODUCER_ACTIVE_US + 2), Some(200));
    }
}
