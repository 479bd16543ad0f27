//! GoAccess's `log-format` with its `date-format` and `time-format`.
//!
//! Source: GoAccess manual, "Custom Log/Date format" and "Specifiers".

use super::{Layout, LayoutError, Program, pattern::Pattern};
use crate::format::{escape::Escape, field::Field};

/// Compiles a format; an empty pattern means the common log format's date and time.
pub(super) fn compile(format: &str, date: &str, time: &str) -> Result<Layout, LayoutError> {
    let date = if date.is_empty() { "%d/%b/%Y" } else { date };
    let time = if time.is_empty() { "%T" } else { time };
    let mut program = Program::default();
    // A field that was told already is stepped over, as GoAccess does.
    let mut told = Vec::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('t') => program.literal(b"\t"),
                Some(other) => program.literal(other.encode_utf8(&mut [0; 4]).as_bytes()),
                None => {}
            },
            '~' => match letters.next() {
                // ~h{…}: the client among forwarded addresses, between characters of a set.
                Some('h') => {
                    let set: String = letters.by_ref().take_while(|l| *l != '}').collect();
                    program.forwarded(set.trim_start_matches('{').bytes().collect());
                    told.push(Field::Client);
                }
                _ => program.spaces(),
            },
            '%' => {
                let specifier = letters.next();
                match specifier.ok_or_else(|| LayoutError::new("it ends with `%`"))? {
                    'x' if date == time => program.time(Pattern::new(date)?),
                    'x' => program.time(Pattern::new(&format!("{date}:{time} %z"))?),
                    'd' => program.time(Pattern::new(date)?),
                    't' => program.time(Pattern::new(time)?),
                    '%' => program.literal(b"%"),
                    '~' => program.spaces(),
                    other => {
                        let meaning = meaning(other).filter(|field| !told.contains(field));
                        told.extend(meaning);
                        if meaning == Some(Field::Request) {
                            told.extend([
                                Field::Method,
                                Field::Target,
                                Field::Query,
                                Field::Protocol,
                            ]);
                        }
                        program.take(meaning);
                    }
                }
            }
            other => program.literal(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    program.finish("goaccess", Escape::Backslash)
}

fn meaning(specifier: char) -> Option<Field> {
    use Field as F;
    Some(match specifier {
        'v' => F::Host,
        'e' => F::User,
        'h' => F::Client,
        'r' => F::Request,
        'm' => F::Method,
        'U' => F::Target,
        'q' => F::Query,
        'H' => F::Protocol,
        's' => F::Status,
        'b' => F::Bytes,
        'R' => F::Referrer,
        'u' => F::Agent,
        'C' => F::Cache,
        'K' => F::Tls,
        'k' => F::Cipher,
        'M' => F::Mime,
        'T' => F::DurationS,
        'L' => F::DurationMs,
        'D' => F::DurationUs,
        'n' => F::DurationNs,
        _ => return None,
    })
}
