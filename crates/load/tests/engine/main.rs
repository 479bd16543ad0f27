//! The engine against a real origin on loopback.

mod build;
mod distributions;
mod failures;
mod honest_clock;
mod journeys;
mod models;
mod transports;
