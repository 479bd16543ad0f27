//! Scaling policies: demand in, a policy out that was tried on the recorded past.

pub mod choose;
pub mod controller;
pub mod counts;
pub mod demand;
pub mod forecast;
pub mod instances;
pub mod series;
pub mod simulate;

pub use series::Series;
