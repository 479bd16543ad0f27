//! What must hold for any bytes; shared by the tests and the fuzz targets.

use experiment::evaluate::growthbook::{Features, User};
use experiment::event::{decode, encode};
use serde_json::{Map, Value};

/// Features of one payload that are evaluated.
const FEATURES_MAX: usize = 50;

/// Reads `data` as an entry of the journal, as it is and with the checksum that it should have.
///
/// # Panics
/// If what is read does not stay the same when it is written and read again.
pub(crate) fn any_entry(data: &[u8]) {
    let mut sealed = data.to_vec();
    sealed.extend_from_slice(&crc32fast::hash(data).to_le_bytes());
    for bytes in [data, &sealed] {
        let Ok(entry) = decode(bytes) else { continue };
        let again = encode(&entry).expect("what was read is within limits");
        assert_eq!(decode(again.as_bytes()).as_ref(), Ok(&entry));
    }
}

/// Reads `data` as JSON with GrowthBook's `payload`, and evaluates its features for `attributes` at `url`.
///
/// # Panics
/// If evaluating the same twice gives two answers.
pub(crate) fn any_growthbook(data: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Value>(data) else { return };
    let Ok(features) = Features::new(&document["payload"]) else { return };
    let nobody = Map::new();
    let mut user = User::new(document["attributes"].as_object().unwrap_or(&nobody));
    user.url = document["url"].as_str().unwrap_or("");
    for key in features.keys().take(FEATURES_MAX) {
        let first = format!("{:?}", features.evaluate(key, &user));
        assert_eq!(first, format!("{:?}", features.evaluate(key, &user)));
    }
}
