//! Which variant a unit gets: pure hashing and bucketing, the same for ever.
//!
//! An [`Assigner`] is made once from a [`Spec`] and asked once per decision. The native hash
//! ([`HashVersion::Native1`]) counts in [`BUCKETS`] integer buckets; the others repeat, bit for
//! bit, what another system does, so that an experiment that runs there can go on here without
//! moving anybody. One file per algorithm; public test vectors in `docs/reference/assignment.md`.
//!
//! # Examples
//! ```
//! use policy::assign::{Assigner, HashVersion, Spec};
//! let spec = Spec::new(HashVersion::Native1, "checkout", &[1, 1]);
//! let assigner = Assigner::new(&spec).unwrap();
//! assert_eq!(assigner.assign("user-1"), assigner.assign("user-1"));
//! ```

mod assigner;
pub mod eppo;
pub mod flagd;
pub mod flagsmith;
pub mod growthbook;
mod intervals;
mod modulo;
mod murmur3;
mod native;
pub mod optimizely;
pub mod planout;
pub mod posthog;
pub mod statsig;
mod table;
pub mod unleash;
mod version;

pub use assigner::{Assigner, Assignment, RANGES_MAX, Spec, SpecError, VARIANTS_MAX, place};
pub use modulo::remainder;
pub use murmur3::murmur3_x86_32;
pub use native::{Purpose, Seed, bucket};
pub use table::Table;
pub use version::HashVersion;

/// Buckets of the native hash, and the unit of every share: parts per million.
pub const BUCKETS: u32 = 1_000_000;
