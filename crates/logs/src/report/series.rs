//! Sums over time in steps, coarser when there is too much time to keep.

use foldhash::HashMap;

/// Steps in seconds, each a multiple of the one before.
pub(crate) const STEPS_S: [i64; 4] = [1, 60, 3600, 86_400];
/// Steps per page.
const PAGE: i64 = 256;
/// Pages of a series; beyond, its step becomes the next of [`STEPS_S`]. One of requests then takes at
/// most 128 MB, and holds 194 days by seconds.
pub(crate) const PAGES_MAX: usize = 1 << 16;
/// Points that [`Series::dense`] gives: more than a year of seconds.
pub(crate) const DENSE_MAX: usize = 1 << 25;
/// Points of the timeline of a report.
pub const TIMELINE_POINTS_MAX: usize = 400;

type Page<const N: usize> = Box<[[u64; N]; PAGE as usize]>;
/// Where to count the values of a finer step, which began at a second and was so many seconds long.
pub(crate) type Fold<const N: usize> = fn(&mut Series<N>, i64, i64, [u64; N]);

/// `N` sums per step. Sums wrap, so that differences can be kept as well. The step that it ends with
/// depends on what was added only, not on the order.
#[derive(Debug, Clone)]
pub(crate) struct Series<const N: usize> {
    level: usize,
    pages_max: usize,
    pages: Vec<(i64, Page<N>)>,
    index: HashMap<i64, usize>,
    last: usize,
    fold: Fold<N>,
}

impl<const N: usize> Series<N> {
    /// A series of at least `step_s` seconds, which is one of [`STEPS_S`].
    pub(crate) fn new(step_s: i64, pages_max: usize) -> Self {
        Self::with_fold(step_s, pages_max, |series, at_s, _, values| series.add(at_s, values))
    }

    /// A series whose values move differently to a coarser step.
    pub(crate) fn with_fold(step_s: i64, pages_max: usize, fold: Fold<N>) -> Self {
        let level = STEPS_S.iter().position(|step| *step >= step_s).unwrap_or(STEPS_S.len() - 1);
        Self { level, pages_max, pages: Vec::new(), index: HashMap::default(), last: 0, fold }
    }

    /// One like this with nothing in it.
    fn empty(&self) -> Self {
        Self::with_fold(self.step_s(), self.pages_max, self.fold)
    }

    pub(crate) fn step_s(&self) -> i64 {
        STEPS_S[self.level]
    }

    /// Adds `values` to the step that second `at_s` is in.
    #[inline]
    pub(crate) fn add(&mut self, at_s: i64, values: [u64; N]) {
        let step_s = self.step_s();
        let step = at_s.div_euclid(step_s);
        let (page, place) = (step.div_euclid(PAGE), step.rem_euclid(PAGE) as usize);
        let at = match self.pages.get(self.last) {
            Some((number, _)) if *number == page => self.last,
            _ => match self.index.get(&page) {
                Some(at) => *at,
                None => match self.open(page) {
                    Some(at) => at,
                    None => return (self.fold)(self, step * step_s, step_s, values),
                },
            },
        };
        self.last = at;
        let sums = &mut self.pages[at].1[place];
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.wrapping_add(value);
        }
    }

    /// A new page; none when there is no room, and the step is coarser now.
    #[cold]
    fn open(&mut self, page: i64) -> Option<usize> {
        if self.pages.len() >= self.pages_max && self.level + 1 < STEPS_S.len() {
            self.coarsen();
            return None;
        }
        self.pages.push((page, Box::new([[0; N]; PAGE as usize])));
        self.index.insert(page, self.pages.len() - 1);
        Some(self.pages.len() - 1)
    }

    /// Goes on to the next coarser step, if there is one.
    pub(crate) fn coarsen(&mut self) {
        if self.level + 1 >= STEPS_S.len() {
            return;
        }
        let finer = std::mem::replace(self, Self { level: self.level + 1, ..self.empty() });
        for (at_s, values) in finer.cells() {
            (self.fold)(self, at_s, finer.step_s(), values);
        }
    }

    pub(crate) fn merge(&mut self, mut other: Self) {
        while self.level < other.level {
            self.coarsen();
        }
        while other.level < self.level {
            other.coarsen();
        }
        for (at_s, values) in other.cells() {
            // A step may become coarser while we are at it.
            if self.level == other.level {
                self.add(at_s, values);
            } else {
                (self.fold)(self, at_s, other.step_s(), values);
            }
        }
    }

    /// Every step that is not empty: the second it begins at and its values, in order of time.
    pub(crate) fn cells(&self) -> impl DoubleEndedIterator<Item = (i64, [u64; N])> {
        let mut pages: Vec<_> = self.pages.iter().collect();
        pages.sort_unstable_by_key(|(page, _)| *page);
        let steps = pages.into_iter().flat_map(|(page, sums)| {
            sums.iter().enumerate().map(move |(place, sums)| (page * PAGE + place as i64, *sums))
        });
        let step_s = self.step_s();
        steps.filter(|(_, sums)| *sums != [0; N]).map(move |(step, sums)| (step * step_s, sums))
    }

    /// When the first step that is not empty begins, and the last.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        Some((self.cells().next()?.0, self.cells().next_back()?.0))
    }

    /// Every step from the first to the last that is not empty, at the finest step that gives at most
    /// `points_max` points: when it starts, the step, and the values. A step of days may give more.
    pub(crate) fn dense(&self, points_max: usize) -> (i64, i64, Vec<[u64; N]>) {
        let Some((first, last)) = self.span() else { return (0, self.step_s(), Vec::new()) };
        let points = (last - first) / self.step_s() + 1;
        if points > points_max as i64 && self.level + 1 < STEPS_S.len() {
            let mut coarser = self.clone();
            coarser.coarsen();
            return coarser.dense(points_max);
        }
        let mut values = vec![[0; N]; points as usize];
        for (at_s, cell) in self.cells() {
            values[((at_s - first) / self.step_s()) as usize] = cell;
        }
        (first, self.step_s(), values)
    }

    /// The step of `step_s` seconds with the most in the first sum, and how much; the first of equals.
    /// `None` when it is empty or kept in longer steps.
    pub(crate) fn busiest(&self, step_s: i64) -> Option<(i64, u64)> {
        if self.step_s() > step_s {
            return None;
        }
        let mut best: Option<(i64, u64)> = None;
        let mut now = (i64::MIN, 0);
        for (at_s, values) in self.cells() {
            let begin = at_s.div_euclid(step_s) * step_s;
            now = if begin == now.0 { (begin, now.1 + values[0]) } else { (begin, values[0]) };
            if best.is_none_or(|(_, most)| now.1 > most) {
                best = Some(now);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn busiest_and_dense() {
        let mut series = Series::<1>::new(1, 10);
        for (at_s, n) in [(-1, 2), (59, 3), (60, 1), (61, 3)] {
            series.add(at_s, [n]);
        }
        assert_eq!(series.busiest(1), Some((59, 3)));
        assert_eq!(series.busiest(60), Some((60, 4)));
        let (start, step, values) = series.dense(100);
        assert_eq!((start, step, values.len(), values[0], values[60]), (-1, 1, 63, [2], [3]));
        assert_eq!(series.dense(10), (-60, 60, vec![[2], [3], [4]]));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_series(
            events in prop::collection::vec((0..200_000_i64, 0..4_usize), 0..60),
        ) {
            let mut whole = Series::<1>::new(1, 20);
            let mut parts = vec![Series::<1>::new(1, 20); 4];
            for (at_s, part) in &events {
                whole.add(*at_s, [1]);
                parts[*part].add(*at_s, [1]);
            }
            let mut merged = Series::<1>::new(1, 20);
            parts.into_iter().rev().for_each(|part| merged.merge(part));
            prop_assert_eq!(merged.step_s(), whole.step_s());
            prop_assert!(merged.cells().eq(whole.cells()));
            let (first, last) = (whole.cells().next(), whole.cells().last());
            prop_assert_eq!(whole.span(), first.zip(last).map(|(first, last)| (first.0, last.0)));
        }
    }
}
