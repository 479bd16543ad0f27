//! Versions of software, ordered as SemVer 2.0.0 orders them.

use std::cmp::Ordering;

/// A version: numbers and the identifiers of a pre-release. Build metadata does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<'a> {
    numbers: Vec<u64>,
    pre_release: Vec<&'a str>,
}

/// Most numbers of a version.
const NUMBERS_MAX: usize = 8;

/// Reads a version: SemVer 2.0.0, and more leniently a leading `v` and more or fewer than three
/// numbers (missing ones are 0). `None` when it is something else.
#[must_use]
pub fn parse_version(text: &str) -> Option<Version<'_>> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(before, _)| before);
    let (numbers, pre_release) = match text.split_once('-') {
        Some((numbers, pre_release)) => (numbers, pre_release.split('.').collect()),
        None => (text, Vec::new()),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let numbers: Option<Vec<u64>> = numbers
        .split('.')
        .take(NUMBERS_MAX + 1)
        .map(|part| if digits(part) { part.parse().ok() } else { None })
        .collect();
    let numbers = numbers.filter(|numbers| numbers.len() <= NUMBERS_MAX)?;
    let named = pre_release.iter().all(|part| !part.is_empty());
    named.then_some(Version { numbers, pre_release })
}

/// Which of two versions comes first (SemVer 2.0.0, section 11).
#[must_use]
pub fn compare_versions(one: &Version<'_>, other: &Version<'_>) -> Ordering {
    let places = one.numbers.len().max(other.numbers.len());
    let number = |version: &Version<'_>, at: usize| version.numbers.get(at).copied().unwrap_or(0);
    let numbers = (0..places).map(|at| number(one, at).cmp(&number(other, at)));
    let numbers = numbers.fold(Ordering::Equal, Ordering::then);
    // A pre-release comes before its release.
    let released = one.pre_release.is_empty().cmp(&other.pre_release.is_empty());
    let identifiers = || {
        let pairs = one.pre_release.iter().zip(&other.pre_release);
        let each = pairs.map(|(one, other)| compare_identifiers(one, other));
        let shared = each.fold(Ordering::Equal, Ordering::then);
        shared.then(one.pre_release.len().cmp(&other.pre_release.len()))
    };
    numbers.then(released).then_with(identifiers)
}

/// Numbers by value and before words; words by their bytes.
fn compare_identifiers(one: &str, other: &str) -> Ordering {
    match (one.parse::<u64>(), other.parse::<u64>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => one.cmp(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_of_the_specification() {
        let ascending = [
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.9.0",
            "1.10.0",
            "2.0.0",
            "2.1.0",
            "2.1.1",
            "10.0.0",
        ];
        for (low, one) in ascending.iter().enumerate() {
            for (high, other) in ascending.iter().enumerate() {
                let versions = [one, other].map(|text| parse_version(text).unwrap());
                let order = compare_versions(&versions[0], &versions[1]);
                assert_eq!(order, low.cmp(&high), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_written_otherwise_but_equal() {
        for (one, other) in
            [("v1.2.3", "1.2.3"), ("1.2", "1.2.0"), ("1", "1.0.0.0"), ("1.0.0+5", "1.0.0")]
        {
            let versions = [one, other].map(|text| parse_version(text).unwrap());
            assert_eq!(compare_versions(&versions[0], &versions[1]), Ordering::Equal);
        }
        for bad in
            ["", "a", "1..2", "1.x", "1.0.0-", "-1", "1.2.3.4.5.6.7.8.9", "99999999999999999999"]
        {
            assert_eq!(parse_version(bad), None, "{bad}");
        }
    }
}
