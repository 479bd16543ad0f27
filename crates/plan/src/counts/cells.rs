//! From rows at any times to equal steps.

use jiff::tz::TimeZone;

use crate::Series;
use crate::series::{DAY_S, STEPS_MAX};

use super::finding::{CountsError, Finding, Repeated};

/// A gap longer than this, in seconds, parts a file into stretches, of which one is kept.
const STRETCH_GAP_S: i64 = 31 * DAY_S;

/// Most times that a clock is said to have been set back; beyond, lines are just not sorted.
const SET_BACK_MAX: usize = 10;

/// Longest gap, in steps and in seconds, that is taken as zeros left out.
const ZERO_GAP: (usize, i64) = (60, 6 * 3600);

/// Counts that reach down to this, but not to zero, may have their zeros left out.
const LOW_COUNT: f64 = 2.0;

/// Highest mean of the counts beside a gap that is taken as zeros left out; beside higher ones, none
/// at all is not likely.
const LOW_NEIGHBOURS: f64 = 10.0;

/// A row of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) time_s: i64,
    pub(super) count: f64,
    /// Number of its line, from 1.
    pub(super) line: usize,
}

/// Steps that people count in, in seconds.
const USUAL_STEPS_S: [i64; 16] =
    [1, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 21_600, DAY_S];

/// How far the mean distance of rows may be from a usual step, as a share of it.
const USUAL_STEP_OFF: f64 = 0.02;

/// Share of the rows that have the most frequent distance, of those that have about it, from which on
/// it is the step.
const REGULAR_MIN: f64 = 0.9;

/// Puts `rows` into steps of their most frequent distance, or of the usual one that they are about.
pub(super) fn series_of(
    mut rows: Vec<Row>,
    zone: TimeZone,
    findings: &mut Vec<Finding>,
) -> Result<Series, CountsError> {
    let back: Vec<(usize, i64)> = rows
        .windows(2)
        .filter(|pair| pair[1].time_s < pair[0].time_s)
        .map(|pair| (pair[1].line, pair[0].time_s - pair[1].time_s))
        .collect();
    rows.sort_by_key(|row| row.time_s);
    let rows = longest_stretch(&rows, findings);
    let distances = rows.windows(2).map(|pair| pair[1].time_s - pair[0].time_s);
    let Some(step) = step_of(distances.filter(|&distance| distance > 0).collect()) else {
        return match rows {
            [] => Err(CountsError::Empty),
            some => Err(CountsError::TooShort { steps: some.len(), span_s: 0 }),
        };
    };
    if step > DAY_S {
        return Err(CountsError::LongStep { step_s: step });
    }
    let shift = most_frequent(rows.iter().map(|row| row.time_s.rem_euclid(step)).collect());
    // To the nearest multiple: times told two seconds early are not most of a step late.
    let shift = shift.map_or(0, |shift| if shift * 2 > step { shift - step } else { shift });
    let cell = |row: &Row| (row.time_s - shift + step / 2).div_euclid(step);
    let (first, last) = (rows.first().map_or(0, cell), rows.last().map_or(0, cell));
    if last - first >= STEPS_MAX as i64 {
        return Err(CountsError::TooLong);
    }

    let repeats = Repeats::of(rows, cell);
    let mut counts = vec![f64::NAN; (last - first + 1) as usize];
    for same in rows.chunk_by(|a, b| cell(a) == cell(b)) {
        counts[(cell(&same[0]) - first) as usize] = repeats.merge(same);
    }

    match back.first() {
        Some(&(line, by_s)) if back.len() <= SET_BACK_MAX && repeats.lines > 0 => {
            findings.push(Finding::SetBack { times: back.len(), line, by_s });
        }
        Some(_) => findings.push(Finding::Unsorted { lines: back.len() }),
        None => {}
    }
    if repeats.lines > 0 {
        findings.push(Finding::Repeated { lines: repeats.lines, taken: repeats.taken });
    }
    if shift != 0 {
        findings.push(Finding::Shifted { by_s: shift });
    }
    let irregular = rows.iter().filter(|row| (row.time_s - shift).rem_euclid(step) != 0).count();
    let step_s = step as u32;
    if irregular > 0 {
        findings.push(Finding::Irregular { lines: irregular, step_s });
    }
    let mut series = Series { start_s: first * step, step_s, counts, zone };
    fill_zeros(&mut series, findings);
    report_gaps(&series, findings);
    Ok(series)
}

/// The step of rows with such `distances`. Times that are told a little late or early have many
/// distances, of which the most frequent one says less than their mean.
fn step_of(distances: Vec<i64>) -> Option<i64> {
    let step = most_frequent(distances.clone())?;
    let near = |distance: &i64| (step / 2..=step + step / 2).contains(distance);
    let near: Vec<i64> = distances.into_iter().filter(near).collect();
    let same = near.iter().filter(|&&distance| distance == step).count();
    if same as f64 >= REGULAR_MIN * near.len() as f64 {
        return Some(step);
    }
    let mean = near.iter().sum::<i64>() as f64 / near.len() as f64;
    let is_about = |usual: &i64| (mean / *usual as f64 - 1.0).abs() <= USUAL_STEP_OFF;
    Some(USUAL_STEPS_S.into_iter().find(is_about).unwrap_or(step))
}

/// The most rows without a gap of more than [`STRETCH_GAP_S`] between them.
fn longest_stretch<'a>(rows: &'a [Row], findings: &mut Vec<Finding>) -> &'a [Row] {
    let stretches = rows.chunk_by(|a, b| b.time_s - a.time_s <= STRETCH_GAP_S);
    let longest = stretches.max_by_key(|stretch| stretch.len()).unwrap_or_default();
    if longest.len() < rows.len() {
        let inside = longest.first().map_or(0, |row| row.time_s)
            ..=longest.last().map_or(0, |row| row.time_s);
        let outside = rows.iter().filter(|row| !inside.contains(&row.time_s));
        let line = outside.map(|row| row.line).min().unwrap_or(0);
        findings.push(Finding::Jumped { lines: rows.len() - longest.len(), line });
    }
    longest
}

/// The most frequent of `values`; of several the least.
fn most_frequent(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    let runs = values.chunk_by(|a, b| a == b);
    // `max_by_key` keeps the last of equals.
    runs.rev().max_by_key(|run| run.len()).map(|run| run[0])
}

/// Rows of the same step, and what they mean.
struct Repeats {
    /// Rows beside the first of each step.
    lines: usize,
    taken: Repeated,
}

impl Repeats {
    fn of(rows: &[Row], cell: impl Fn(&Row) -> i64) -> Self {
        let (mut lines, mut cells, mut several, mut same) = (0, 0, 0, true);
        for chunk in rows.chunk_by(|a, b| cell(a) == cell(b)) {
            cells += 1;
            lines += chunk.len() - 1;
            several += usize::from(chunk.len() > 1);
            same &= chunk.iter().all(|row| row.count == chunk[0].count);
        }
        let taken = match (same, several * 2 > cells) {
            (true, _) => Repeated::Once,
            (false, true) => Repeated::Added,
            (false, false) => Repeated::Averaged,
        };
        Self { lines, taken }
    }

    fn merge(&self, rows: &[Row]) -> f64 {
        let known = || rows.iter().map(|row| row.count).filter(|count| count.is_finite());
        let (n, sum) = (known().count(), known().sum::<f64>());
        match self.taken {
            _ if n == 0 => f64::NAN,
            Repeated::Added => sum,
            Repeated::Once | Repeated::Averaged => sum / n as f64,
        }
    }
}

/// Takes short gaps as zeros where counts are whole and as low as one, but none is zero: whoever
/// counts lines by the minute gets no line for a minute without any.
fn fill_zeros(series: &mut Series, findings: &mut Vec<Finding>) {
    let known = || series.counts.iter().copied().filter(|count| count.is_finite());
    let lowest = known().fold(f64::INFINITY, f64::min);
    if lowest == 0.0 || lowest > LOW_COUNT || known().any(|count| count.fract() != 0.0) {
        return;
    }
    let longest = ZERO_GAP.0.min((ZERO_GAP.1 / i64::from(series.step_s)) as usize);
    let mut steps = 0;
    let mut first = 0;
    let lengths: Vec<usize> =
        series.counts.chunk_by(|a, b| a.is_nan() == b.is_nan()).map(<[f64]>::len).collect();
    for length in lengths {
        let gap = first..first + length;
        first = gap.end;
        // A gap lies between known counts: the series begins and ends with a row.
        let beside = [gap.start.checked_sub(1), Some(gap.end)];
        let beside = beside.map(|at| at.and_then(|at| series.counts.get(at)).copied());
        if let [Some(before), Some(after)] = beside
            && series.counts[gap.start].is_nan()
            && length <= longest
            && f64::midpoint(before, after) <= LOW_NEIGHBOURS
        {
            series.counts[gap].fill(0.0);
            steps += length;
        }
    }
    if steps > 0 {
        findings.push(Finding::ZerosLeftOut { steps });
    }
}

fn report_gaps(series: &Series, findings: &mut Vec<Finding>) {
    let runs = series.counts.chunk_by(|a, b| a.is_nan() == b.is_nan());
    let gaps: Vec<usize> = runs.filter(|run| run[0].is_nan()).map(<[f64]>::len).collect();
    if let Some(&longest) = gaps.iter().max() {
        let longest_s = longest as i64 * i64::from(series.step_s);
        findings.push(Finding::Gaps { gaps: gaps.len(), steps: gaps.iter().sum(), longest_s });
    }
}
