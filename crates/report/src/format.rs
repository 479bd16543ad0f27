//! Numbers as people read them.

/// Three significant digits: `123`, `12.3`, `1.23`.
fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A time given in microseconds: `850 µs`, `12.3 ms`, `1.21 s`.
pub(crate) fn time(us: f64) -> String {
    match us.abs() {
        v if v >= 999_500.0 => format!("{} s", three_digits(us / 1e6)),
        v if v >= 999.5 => format!("{} ms", three_digits(us / 1e3)),
        _ => format!("{us:.0} µs"),
    }
}

/// A time given in microseconds, or a dash.
pub(crate) fn time_or_dash(us: Option<f64>) -> String {
    us.map_or_else(|| "-".to_owned(), time)
}

/// A whole number with separators: `12,345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount without a unit: whole and separated from 100 on, else up to two decimals.
pub(crate) fn amount(value: f64) -> String {
    if value.abs() >= 99.95 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(value.abs().round() as u64));
    }
    let text = three_digits(value);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A rate: `3,140/s`, `20.5/s`.
pub(crate) fn rate(per_s: f64) -> String {
    format!("{}/s", amount(per_s))
}

/// A share: `1.25 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        0.0 => "0 %".to_owned(),
        v if v < 0.01 => "<0.01 %".to_owned(),
        v if v < 9.995 => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}

/// A share of a whole; zero of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Bytes in decimal units: `620 MB`.
pub(crate) fn bytes(value: f64) -> String {
    for (unit, scale) in [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)] {
        if value.abs() >= scale * 0.9995 {
            return format!("{} {unit}", three_digits(value / scale));
        }
    }
    format!("{value:.0} B")
}

/// Seconds of a run: `12.3 s`, `5 min 20 s`, `2 h 5 min`.
pub(crate) fn length(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=119 => format!("{} s", (seconds * 10.0).round() / 10.0),
        120..=7199 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1 user`, `2 users`.
pub(crate) fn plural(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// One character per value, from `▁` for zero to `█` for the largest; a blank for what is not
/// known. Empty text for no values.
pub fn sparkline(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let max =
        values.iter().flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    values
        .iter()
        .map(|value| match value {
            Some(value) if value.is_finite() && max > 0.0 => {
                let level = (value.max(0.0) / max * (BARS.len() - 1) as f64).round() as usize;
                BARS[level.min(BARS.len() - 1)]
            }
            Some(_) => BARS[0],
            None => ' ',
        })
        .collect()
}

/// At most `width` values, each the mean of the neighbours that it stands for.
pub(crate) fn thinned(values: &[Option<f64>], width: usize) -> Vec<Option<f64>> {
    let per_bar = values.len().div_ceil(width.max(1)).max(1);
    values
        .chunks(per_bar)
        .map(|chunk| {
            let known: Vec<f64> = chunk.iter().flatten().copied().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_digits_would_overflow() {
        for (us, text) in [
            (0.0, "0 µs"),
            (999.4, "999 µs"),
            (999.6, "1.00 ms"),
            (12_340.0, "12.3 ms"),
            (99_960.0, "100 ms"),
            (999_400.0, "999 ms"),
            (999_600.0, "1.00 s"),
            (61e6, "61.0 s"),
        ] {
            assert_eq!(time(us), text);
        }
        assert_eq!(
            (bytes(620e6), bytes(999.0), bytes(999_999.0)),
            ("620 MB".into(), "999 B".into(), "1.00 MB".into())
        );
        assert_eq!(
            (count(0), count(999), count(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(
            (rate(3140.2), rate(20.5), rate(0.0)),
            ("3,140/s".into(), "20.5/s".into(), "0/s".into())
        );
        assert_eq!(
            (percent(0.0), percent(0.0125), percent(0.5), percent(1e-5)),
            ("0 %".into(), "1.25 %".into(), "50.0 %".into(), "<0.01 %".into())
        );
        assert_eq!(
            (length(59.96), length(320.0), length(7500.0)),
            ("60 s".into(), "5 min 20 s".into(), "2 h 5 min".into())
        );
    }

    #[test]
    fn sparklines_span_from_zero_to_the_largest() {
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[Some(0.0), None, Some(5.0), Some(10.0)]), "▁ ▅█");
        assert_eq!(sparkline(&[Some(0.0), Some(f64::NAN)]), "▁▁");
        assert_eq!(
            thinned(&[Some(1.0), Some(3.0), None, None, Some(4.0)], 3),
            [Some(2.0), None, Some(4.0)]
        );
    }
}
