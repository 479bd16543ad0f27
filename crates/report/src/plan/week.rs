//! Figures by hour of the local week, and as a plot.

use plan::Series;
use plan::choose::answer::HourInstances;

use crate::format;

/// Hours of a week.
pub(super) const HOURS: usize = 168;

/// Columns of a plot: one for two hours.
const PLOT_WIDTH: usize = HOURS / 2;

/// Mean rate in each hour of the local week, in requests per second; `None` where nothing is known.
/// 0 is the hour from Monday midnight on.
pub(super) fn rates(series: &Series) -> Vec<Option<f64>> {
    let clock = series.clock(0);
    let mut sums = vec![(0.0, 0.0); HOURS];
    for (index, count) in series.counts.iter().enumerate().filter(|(_, count)| count.is_finite()) {
        let hour = (clock.second_of_week(series.time_s(index)) / 3600) as usize % HOURS;
        let (requests, seconds) = &mut sums[hour];
        *requests += count;
        *seconds += f64::from(series.step_s);
    }
    let rate = |(requests, seconds)| (seconds > 0.0).then(|| requests / seconds);
    sums.into_iter().map(rate).collect()
}

/// Instances in each hour of the week.
pub(super) fn instances(hours: &[HourInstances]) -> Vec<Option<f64>> {
    let mut week = vec![None; HOURS];
    for hour in hours {
        if let Some(slot) = week.get_mut(hour.hour as usize) {
            *slot = Some(hour.instances);
        }
    }
    week
}

/// Named curves over the week on one scale.
pub(super) fn plot(curves: &[(&str, &[Option<f64>])], unit: &str) -> String {
    let thin: Vec<Vec<Option<f64>>> =
        curves.iter().map(|(_, values)| format::thinned(values, PLOT_WIDTH)).collect();
    let most = thin.iter().flatten().flatten().copied().fold(0.0, f64::max);
    let width = curves.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let days: String =
        ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].map(|day| format!("{day:<12}")).concat();
    let mut text = format!("  {:<width$}  {}\n", "", days.trim_end());
    for ((name, values), mut thin) in curves.iter().zip(thin) {
        // The largest value of all curves sets the scale; it is taken off again.
        thin.push(Some(most));
        let mut bars = format::sparkline(&thin);
        bars.pop();
        let own = values.iter().flatten().copied().fold(0.0, f64::max);
        text.push_str(&format!("  {name:<width$}  {bars}  most {}{unit}\n", format::amount(own)));
    }
    text
}

/// `00–06 2, 07 5, 08–17 14, 18–23 6`: instances by hour of the day, the mean of all days, equal
/// neighbours together. Empty without any.
pub(super) fn by_hour_of_day(hours: &[HourInstances]) -> String {
    let mut sums = [(0.0, 0_u32); 24];
    for hour in hours {
        let (sum, count) = &mut sums[hour.hour as usize % 24];
        *sum += hour.instances;
        *count += 1;
    }
    let known: Vec<(usize, u64)> = sums
        .iter()
        .enumerate()
        .filter(|(_, (_, count))| *count > 0)
        .map(|(hour, (sum, count))| (hour, (sum / f64::from(*count)).round() as u64))
        .collect();
    let runs = known.chunk_by(|a, b| a.1 == b.1 && a.0 + 1 == b.0);
    let text = runs.filter_map(|run| {
        let ((first, instances), (last, _)) = (run.first()?, run.last()?);
        Some(match first == last {
            true => format!("{first:02} {instances}"),
            false => format!("{first:02}–{last:02} {instances}"),
        })
    });
    text.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use plan::series::DAY_S;

    use super::*;

    #[test]
    fn equal_hours_are_told_together() {
        let hours: Vec<HourInstances> = (0..48)
            .map(|hour| HourInstances {
                hour,
                instances: if (8..18).contains(&(hour % 24)) { 13.6 } else { 2.0 },
            })
            .collect();
        assert_eq!(by_hour_of_day(&hours), "00–07 2, 08–17 14, 18–23 2");
        assert_eq!(by_hour_of_day(&[]), "");
    }

    #[test]
    fn rates_are_those_of_the_local_hour() {
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        // 2024-02-26 00:00 UTC is Monday two o'clock there.
        let series =
            Series { start_s: 1_708_905_600, step_s: 3600, counts: vec![7200.0, f64::NAN], zone };
        let rates = rates(&series);
        assert_eq!((rates[2], rates[3], rates[1]), (Some(2.0), None, None));
        assert_eq!(DAY_S / 3600 * 7, HOURS as i64);
    }

    #[test]
    fn curves_share_a_scale() {
        let (low, high) = (vec![Some(1.0); HOURS], vec![Some(8.0); HOURS]);
        let text = plot(&[("needed", &low), ("provisioned", &high)], " instances");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("Mon         Tue"));
        assert!(lines[1].contains(&"▂".repeat(84)) && lines[1].ends_with("most 1 instances"));
        assert!(lines[2].contains(&"█".repeat(84)));
    }
}
