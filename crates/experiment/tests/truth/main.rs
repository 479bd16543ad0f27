//! Simulated experiments through analysis and automation, with known truths: what is the same is
//! not shipped, what harms is taken back, what is better wins, and what is unsound is blocked.

mod decisions;
mod edges;
mod measures;
mod moves;
mod whole;
mod world;
