//! What is encoded is decoded; what is not an entry is an error.

use super::super::*;
use super::{CRC_BYTES, VERSION};
use proptest::collection::vec;
use proptest::prelude::*;

/// An entry that owns its texts, from which one that borrows is made.
#[derive(Debug, Clone)]
struct Owned {
    id: Option<(String, u32, u64)>,
    records: Vec<OwnedRecord>,
}

#[derive(Debug, Clone)]
enum OwnedRecord {
    Exposure([String; 6], u16, u16, i64),
    Event([String; 2], i64, i64, Option<String>),
    Traffic(String, u16, u16, i64, [u64; 3], Vec<(i16, u64)>),
}

impl Owned {
    fn borrow(&self) -> Entry<'_> {
        let id = self.id.as_ref().map(|(producer, epoch, sequence)| BatchId {
            producer,
            epoch: *epoch,
            sequence: *sequence,
        });
        let records = self.records.iter().map(|record| match record {
            OwnedRecord::Exposure(texts, variant, phase, time_us) => {
                let [experiment, unit, browser, country, route, cache] = texts;
                Record::Exposure(Exposure {
                    experiment,
                    unit,
                    variant: *variant,
                    phase: *phase,
                    time_us: *time_us,
                    attributes: Attributes { browser, country, route, cache },
                })
            }
            OwnedRecord::Event([unit, name], value, time_us, id) => Record::Event(Event {
                unit,
                name,
                value: *value,
                time_us: *time_us,
                event_id: id.as_deref(),
            }),
            OwnedRecord::Traffic(experiment, variant, phase, time_us, counts, latency) => {
                Record::Traffic(Traffic {
                    experiment,
                    variant: *variant,
                    phase: *phase,
                    time_us: *time_us,
                    requests: counts[0],
                    errors: counts[1],
                    bytes: counts[2],
                    latency: latency.clone(),
                })
            }
        });
        Entry::Batch { id, records: records.collect() }
    }
}

fn record() -> impl Strategy<Value = OwnedRecord> {
    let text = || "[a-zé😀]{1,8}".prop_map(String::from);
    let small = any::<u16>;
    let time = || 0..=TIME_MAX;
    let count = || 0..=COUNT_MAX;
    prop_oneof![
        ([text(), text(), text(), text(), text(), text()], small(), small(), time()).prop_map(
            |(texts, variant, phase, at)| OwnedRecord::Exposure(texts, variant, phase, at)
        ),
        ([text(), text()], -VALUE_MAX..=VALUE_MAX, time(), proptest::option::of(text()))
            .prop_map(|(texts, value, at, id)| OwnedRecord::Event(texts, value, at, id)),
        (
            text(),
            small(),
            small(),
            time(),
            [count(), count(), count()],
            vec((any::<i16>(), count()), 0..4)
        )
            .prop_map(|(key, variant, phase, at, counts, latency)| {
                OwnedRecord::Traffic(key, variant, phase, at, counts, latency)
            }),
    ]
}

fn owned() -> impl Strategy<Value = Owned> {
    let id = proptest::option::of(("[a-z]{1,9}", any::<u32>(), any::<u64>()));
    (id, vec(record(), 0..20)).prop_map(|(id, records)| Owned { id, records })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(owned in owned()) {
        let entry = owned.borrow();
        let encoded = encode(&entry).unwrap();
        prop_assert_eq!(decode(encoded.as_bytes()), Ok(entry));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen(owned in owned(), place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let encoded = encode(&owned.borrow()).unwrap();
        let mut bytes = encoded.as_bytes().to_vec();
        let at = place.index(bytes.len());
        prop_assert!(decode(&bytes[..at]).is_err());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decode(&bytes).is_err());
    }

    /// Behind a right checksum, too, nothing panics and nothing asks for memory that is not there.
    #[test]
    fn any_body_is_decoded_or_refused(body in vec(any::<u8>(), 0..200), kind in 0..5_u8) {
        let mut bytes = vec![VERSION, kind];
        bytes.extend(body);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        if let Ok(entry) = decode(&bytes) {
            // Only the shortest form of numbers is written, so the bytes need not be the same.
            let again = encode(&entry).unwrap();
            prop_assert_eq!(decode(again.as_bytes()), Ok(entry));
        }
    }

    /// Wrong bytes in the middle of right ones reach every field.
    #[test]
    fn a_changed_body_is_decoded_or_refused(owned in owned(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let encoded = encode(&owned.borrow()).unwrap();
        let mut body = encoded.as_bytes()[..encoded.as_bytes().len() - CRC_BYTES].to_vec();
        let at = place.index(body.len());
        body[at] = byte;
        body.extend(crc32fast::hash(&body).to_le_bytes());
        if let Ok(entry) = decode(&body) {
            prop_assert!(encode(&entry).is_ok());
        }
    }
}

fn event(name: &str) -> Event<'_> {
    Event { unit: "u", name, value: 0, time_us: 1, event_id: None }
}

fn batch(records: Vec<Record<'_>>) -> Entry<'_> {
    Entry::Batch { id: None, records }
}

#[test]
fn limits_are_told_with_the_record() {
    let long = "x".repeat(UNIT_BYTES_MAX + 1);
    let wrong = [
        Event { unit: "", ..event("buy") },
        Event { unit: &long, ..event("buy") },
        Event { name: &long, ..event("buy") },
        Event { value: VALUE_MAX + 1, ..event("buy") },
        Event { time_us: -1, ..event("buy") },
        Event { time_us: TIME_MAX + 1, ..event("buy") },
        Event { event_id: Some(""), ..event("buy") },
        Event { event_id: Some(&long), ..event("buy") },
    ];
    for record in wrong {
        let records = vec![Record::Event(event("buy")), Record::Event(record)];
        assert_eq!(encode(&batch(records)).unwrap_err().record, 1, "{record:?}");
    }
    let many = vec![Record::Event(event("buy")); RECORDS_MAX + 1];
    assert!(encode(&batch(many)).is_err());
    let large = vec![Record::Event(Event { unit: &long[1..], ..event("buy") }); 5_000];
    assert!(encode(&batch(large)).unwrap_err().what.contains("at once"));
}

#[test]
fn an_event_is_small_and_other_versions_are_refused() {
    let record =
        |time_us| Record::Event(Event { time_us, unit: "0123456789abcdef", ..event("purchase") });
    let records = (0..1_000).map(|at| record(1_700_000_000_000_000 + at * 1_000)).collect();
    let bytes = encode(&batch(records)).unwrap().as_bytes().len();
    assert!(bytes < 31 * 1_000, "{bytes}");

    let mut other = vec![VERSION + 1, 1, 0, 0];
    other.extend(crc32fast::hash(&other).to_le_bytes());
    assert_eq!(decode(&other), Err(DecodeError::Version(VERSION + 1)));
}

#[test]
fn attributes_are_cut_at_characters() {
    assert_eq!(bounded("firefox"), "firefox");
    let long = "é".repeat(40);
    assert_eq!(bounded(&long), "é".repeat(32));
}
