//! A choice beside what one would do without it, as rows of a table.

use serde::Serialize;

use super::answer::Answer;
use super::params::Params;
use super::{ChooseError, Evidence, choose};
use crate::Series;

/// One way of scaling on held-out demand.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// `fixed-peak`, `hpa-70`, `hpa-70-cpu`, `schedule-only`; `searched` is the best of the search,
    /// `recommended` what is recommended.
    pub name: String,
    /// Hours of instances that are paid for.
    pub instance_hours: f64,
    /// The same over that of `hpa-70`.
    pub relative_cost: f64,
    /// Share of late requests.
    pub late_ratio: f64,
}

/// Chooses for `series` and lists the choice beside the baselines, all on the same held-out demand.
///
/// # Errors
/// As [`choose`].
pub fn table(series: &Series, params: &Params) -> Result<(Vec<Row>, Answer), ChooseError> {
    let answer = choose(series, params, &Evidence::default())?;
    let plain = answer.baselines.iter().find(|baseline| baseline.name == "hpa-70");
    let plain_hours = plain.map_or(f64::NAN, |baseline| baseline.instance_hours);
    let row = |name: &str, instance_hours: f64, late_ratio: f64| Row {
        name: name.to_owned(),
        instance_hours,
        relative_cost: instance_hours / plain_hours,
        late_ratio,
    };
    let baselines = answer.baselines.iter();
    let mut rows: Vec<Row> =
        baselines.map(|one| row(&one.name, one.instance_hours, one.late_ratio)).collect();
    rows.push(row("searched", answer.best.instance_hours, answer.best.late_ratio));
    rows.push(row("recommended", answer.held_out.instance_hours, answer.held_out.late_ratio));
    Ok((rows, answer))
}
