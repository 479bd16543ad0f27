//! Assignment: vectors of the real software, and laws.

mod laws;
mod vectors;
