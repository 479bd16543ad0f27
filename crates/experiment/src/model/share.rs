//! Parts of a whole.

use policy::assign::BUCKETS;
use serde::{Deserialize, Serialize};

/// A part of all units: whole parts per million, a fraction of 0 to 1 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

impl Share {
    /// Nobody.
    pub const NONE: Share = Share(0);
    /// Everybody.
    pub const ALL: Share = Share(BUCKETS);

    /// Parts per million, at most a million.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Option<Share> {
        if ppm <= BUCKETS { Some(Share(ppm)) } else { None }
    }

    /// Parts per million.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// A fraction of 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(BUCKETS)
    }

    pub(crate) fn all() -> Share {
        Share::ALL
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    /// Rounded to the nearest part per million.
    fn try_from(fraction: f64) -> Result<Share, String> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(format!("a share is a fraction of 0 to 1, not {fraction}"));
        }
        Ok(Share((fraction * f64::from(BUCKETS)).round() as u32))
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.fraction()
    }
}
