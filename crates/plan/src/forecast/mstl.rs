//! Several rhythms at once (Bandara, Hyndman & Bergmeir, 2021), and exponential smoothing of the
//! rest.

use augurs_mstl::stlrs::MstlParams;

use super::grid::Grid;

/// The values are parted into rhythms of a day and a week, which go on as they last were, and the
/// rest, which is forecast as in [`super::ets`]. Without two weeks there is only the day; without two
/// days no rhythm.
pub(super) fn forecast(grid: &Grid, cells: usize) -> Vec<f64> {
    let periods: Vec<usize> = [grid.day(), grid.week()].into_iter().flatten().collect();
    let Some(parts) = decompose(&grid.rates, &periods) else {
        return super::ets::smooth(&grid.rates, cells);
    };
    let rest: Vec<f64> = (0..grid.rates.len())
        .map(|at| grid.rates[at] - parts.iter().map(|part| part[at]).sum::<f64>())
        .collect();
    let mut forecast = super::ets::smooth(&rest, cells);
    for (period, part) in periods.iter().zip(&parts) {
        let last = &part[part.len() - period..];
        forecast.iter_mut().enumerate().for_each(|(ahead, value)| *value += last[ahead % period]);
    }
    forecast
}

/// The rhythms of `values`, one for each of `periods`; `None` where there is none to be found.
fn decompose(values: &[f64], periods: &[usize]) -> Option<Vec<Vec<f64>>> {
    if periods.is_empty() {
        return None;
    }
    let (seasonal, _, _) = MstlParams::new().fit(values, periods).ok()?.into_parts();
    let whole =
        seasonal.len() == periods.len() && seasonal.iter().all(|part| part.len() == values.len());
    let finite = seasonal.iter().flatten().all(|value| value.is_finite());
    (whole && finite).then_some(seasonal)
}
