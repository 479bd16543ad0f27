//! The statistics of experiments against other software, and against the truth of simulations.

mod sample;
mod truth_coverage;
mod truth_power;
mod truth_sequential;
mod vectors;
