//! Benchmarks: paired rounds, ratios of medians, never a limit on wall-clock time.

pub(crate) mod load;
