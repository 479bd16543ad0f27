//! Scenario and gateway files: TOML in, validated parameters of the engines out. The only crate
//! that knows TOML.
//!
//! ```text
//! file ──read_scenario──► ScenarioFile { scenario, settings } ─┐
//! URL ──scenario_of_url─►                                      ├─ resolve ──► LoadParams
//! flags ─────────────────► LoadSettings ── flags.or(settings) ─┘
//!
//! file ──read_gateway──► GatewayParams
//! file ──read_experiments──► ServiceParams, Declared
//! ```
//!
//! Every step finds all errors that it can, each with its place in the file, a stable [`Code`] and
//! a hint: [`Errors`].

mod compile;
mod errors;
mod expect;
pub mod experiment;
mod file;
mod gateway;
mod host;
mod load_tables;
mod read;
mod resolve;
mod settings;
mod slo;
mod step;
mod url;

pub use crate::experiment::{
    EXPERIMENTS_ADDRESS, EXPERIMENTS_DATA, parse_experiments, read_experiments,
    read_joining_experiments,
};
pub use crate::gateway::{
    GATEWAY_WORKERS_MAX, LIMIT_KEYS_MAX, PAGE_BYTES_MAX, RATE_LIMITS_MAX, RETRIES_MAX,
    SPLIT_WEIGHT_MAX, parse_gateway, read_gateway,
};
pub use errors::{Code, ERRORS_SHOWN_MAX, Errors, Look, Problem};
pub use file::{SCENARIO_BYTES_MAX, ScenarioFile, WEIGHT_MAX, parse_scenario, read_scenario};
pub use host::{Host, ValueError, parse_connect_to};
pub use load_tables::{REDIRECTS_MAX, WATCHED_MAX};
pub use resolve::{
    BURST_PAUSE_DEFAULT, DRAIN_DEFAULT, RUN_TIME_DEFAULT, SEED_DEFAULT, USERS_DEFAULT, resolve,
};
pub use settings::{BurstSettings, Level, LoadSettings, LoadStage, Places, Preset, parse_wait};
pub use step::BODY_FILE_BYTES_MAX;
pub use url::{UrlRequest, scenario_of_url};
