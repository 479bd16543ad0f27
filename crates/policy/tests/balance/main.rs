//! Laws of the balancers.

mod draws;
mod every;
mod fixture;
mod hashing;
mod turns;
