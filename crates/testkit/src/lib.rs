//! What the tests of tidegate share; for development only.
//!
//! - [`origin`]: a real server on a port of this machine that behaves, or misbehaves, as told and
//!   records what it was asked.
//! - [`sim`]: servers of known capacity, simulated in virtual time.

pub mod origin;
pub mod sim;
