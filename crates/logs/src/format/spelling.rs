//! How writers spell the names of fields: `responseTime`, `Response Time (ms)`, `response-time-ms`.

use super::field::Field;

/// In lower case with `_` between words, also where a capital begins one.
pub(super) fn snake(name: &str) -> String {
    let mut plain = String::with_capacity(name.len() + 4);
    let mut after_small = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_small {
            plain.push('_');
        }
        after_small = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        plain.push(letter);
    }
    lower(&plain)
}

/// In lower case with `_` for what else parts words; brackets, as around units, part them too.
pub(super) fn lower(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            ' ' | '-' | '(' | '[' if plain.ends_with('_') => {}
            ' ' | '-' | '(' | '[' => plain.push('_'),
            ')' | ']' => {}
            other => plain.extend(other.to_lowercase()),
        }
    }
    plain
}

/// What a unit makes of a field: `None` if the field is no duration.
type Unit = fn(Field) -> Option<Field>;

/// The name without the unit at its end, and what the unit makes of a duration that the name means.
pub(super) fn unit(name: &str) -> Option<(&str, Unit)> {
    let (base, unit) = name.rsplit_once('_')?;
    let field: Unit = match unit {
        "s" | "sec" | "secs" | "seconds" => |field| of(field, Field::DurationS, Field::UpstreamS),
        "ms" | "msec" | "millis" | "milliseconds" => {
            |field| of(field, Field::DurationMs, Field::UpstreamMs)
        }
        "us" | "usec" | "micros" | "microseconds" => {
            |field| of(field, Field::DurationUs, Field::UpstreamUs)
        }
        "ns" | "nsec" | "nanos" | "nanoseconds" => {
            |field| of(field, Field::DurationNs, Field::UpstreamNs)
        }
        _ => return None,
    };
    Some((base, field))
}

/// Which of the two `field` is, if it is a duration.
fn of(field: Field, duration: Field, upstream: Field) -> Option<Field> {
    match field {
        Field::Duration | Field::DurationS | Field::TimeOrDuration => Some(duration),
        Field::UpstreamS | Field::UpstreamNs => Some(upstream),
        _ => None,
    }
}
