//! The random source of a virtual user.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

/// Small and fast; one per user, so that a user's choices do not depend on the others.
pub type UserRng = Xoshiro256PlusPlus;

/// The random source number `index` of a run with `seed` (SplitMix64 seeding of both).
pub fn user_rng(seed: u64, index: u64) -> UserRng {
    UserRng::seed_from_u64(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
