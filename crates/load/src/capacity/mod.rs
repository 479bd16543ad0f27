//! How much load the target holds under its objectives.
//!
//! [`Search`] is a pure state machine: it says which [`Step`] to take and is told what was measured.
//! It runs nothing itself and reads no clock. Each trial goes through a judge, which cuts off the
//! warm-up and decides whether the load was held; when the limit is known, the answer is put
//! together from all trials.

mod answer;
mod judge;
mod resample;
mod result;
mod run;
mod search;
mod trial;

pub use result::{CapacityResult, SearchBy, Signal, Trial, TrialPurpose};
pub use run::{CapacityError, Progress, find};
pub use search::{Search, SearchParams, Step, TRIALS_DEFAULT, TRIALS_MAX};
pub use trial::{GeneratorFacts, TRIAL_INTERVAL, TrialInterval, TrialLengths, TrialMeasurement};
