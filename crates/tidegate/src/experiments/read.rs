//! What a configuration says about experiments.

use std::path::Path;

use config::{Look, read_experiments};
use experiment::automation::Declared;
use experiment::live::params::ServiceParams;

/// Service and experiments of a file, or its errors as people read them. `None` when the file has
/// no `[experiments]`.
pub(crate) fn declared(path: &Path) -> Result<Option<(ServiceParams, Declared)>, String> {
    read_experiments(path).map_err(|errors| errors.render(Look::of_stderr()))
}
