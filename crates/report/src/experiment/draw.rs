//! Intervals in text.

/// Columns of a drawn interval; odd, so that zero has one in the middle.
pub(super) const WIDTH: usize = 31;

/// The scale of drawings: the largest end that is shown, at least 1 %.
pub(super) fn scale(ends: impl Iterator<Item = f64>) -> f64 {
    const LEAST: f64 = 0.01;
    // A few enormous intervals should not make all others points.
    const MOST: f64 = 1.0;
    ends.filter(|end| end.is_finite()).fold(LEAST, |most, end| most.max(end.abs())).min(MOST)
}

/// `····├───●──┤·│········`: the interval, its estimate, and zero. Ends beyond the scale are arrows.
pub(super) fn interval([low, high]: [Option<f64>; 2], estimate: Option<f64>, scale: f64) -> String {
    let middle = (WIDTH / 2) as f64;
    let column = |value: f64| (middle + value / scale * middle).round();
    let inside = |column: f64| (0.0..WIDTH as f64).contains(&column);
    let last = (WIDTH - 1) as f64;
    let (from, to) = (low.map_or(-1.0, column), high.map_or(last + 1.0, column));
    let mut cells = vec!['·'; WIDTH];
    for (index, cell) in cells.iter_mut().enumerate() {
        let at = index as f64;
        if (from..=to).contains(&at) {
            *cell = '─';
        }
        if at == middle {
            *cell = '│';
        }
    }
    let mut put = |at: f64, mark: char| {
        if inside(at)
            && let Some(cell) = cells.get_mut(at as usize)
        {
            *cell = mark;
        }
    };
    put(from, '├');
    put(to, '┤');
    if from < 0.0 && to >= 0.0 {
        put(0.0, '◄');
    }
    if to > last && from <= last {
        put(last, '►');
    }
    if let Some(estimate) = estimate {
        put(column(estimate), '●');
    }
    cells.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_shows_its_ends_its_estimate_and_zero() {
        let draw = |low, high, estimate| interval([low, high], estimate, 1.0);
        assert_eq!(draw(Some(0.2), Some(0.6), Some(0.4)), "···············│··├──●──┤······");
        assert_eq!(draw(Some(-0.2), Some(0.2), Some(0.0)), "············├──●──┤············");
        assert_eq!(draw(None, Some(0.2), Some(-5.0)), "◄──────────────│──┤············");
        assert_eq!(draw(Some(2.0), Some(3.0), Some(2.5)), "···············│···············");
        assert_eq!(draw(None, None, None), "◄──────────────│──────────────►");
        assert_eq!(draw(Some(f64::NAN), None, None).chars().count(), WIDTH);
    }

    #[test]
    fn the_scale_holds_all_but_the_enormous() {
        assert_eq!(scale([0.05, -0.2, f64::NAN].into_iter()), 0.2);
        assert_eq!(scale([0.0001].into_iter()), 0.01);
        assert_eq!(scale([40.0].into_iter()), 1.0);
        assert_eq!(scale(std::iter::empty()), 0.01);
    }
}
