//! Numbers in sentences.

/// 12,345.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share without a sign, to four decimals at most: `7 %`.
pub(crate) fn share(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

/// A lift: `+7.0 %`.
pub(crate) fn lift(lift: Option<f64>) -> String {
    lift.map_or_else(|| "unknown".to_owned(), |lift| format!("{:+.1} %", lift * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.07, 0.005, 1.5].map(share), ["7 %", "0.5 %", "150 %"]);
        assert_eq!([Some(0.07), Some(-0.123), None].map(lift), ["+7.0 %", "-12.3 %", "unknown"]);
    }
}
