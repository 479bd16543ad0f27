//! Apache's `LogFormat`: text with `%` directives.
//!
//! Source: Apache HTTP Server documentation, mod_log_config, "Custom Log Formats".

use super::{Layout, LayoutError, Program, pattern::Pattern};
use crate::format::{escape::Escape, field::Field};

/// Compiles a format string whose own escapes (`\"`, `\t`) are still in it.
pub(super) fn compile(format: &str, name: &str) -> Result<Layout, LayoutError> {
    let mut program = Program::default();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('t') => program.literal(b"\t"),
                Some(other) => program.literal(other.encode_utf8(&mut [0; 4]).as_bytes()),
                None => {}
            },
            '%' => directive(&mut letters, &mut program)?,
            other => program.literal(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    program.finish(name, Escape::Backslash)
}

fn directive(letters: &mut std::str::Chars<'_>, program: &mut Program) -> Result<(), LayoutError> {
    let mut argument = None;
    let letter = loop {
        match letters.next().ok_or_else(|| LayoutError::new("it ends with `%`"))? {
            // Status codes that it applies to, and which of several requests.
            '0'..='9' | ',' | '!' | '<' | '>' => {}
            '{' => argument = Some(letters.by_ref().take_while(|l| *l != '}').collect::<String>()),
            '%' => {
                program.literal(b"%");
                return Ok(());
            }
            // The names of two letters, such as %^ti, say nothing that is wanted.
            '^' => {
                letters.next();
                letters.next();
                program.take(None);
                return Ok(());
            }
            letter => break letter,
        }
    };
    match (letter, argument.as_deref()) {
        ('t', None) => {
            program.literal(b"[");
            program.time(Pattern::new("%d/%b/%Y:%H:%M:%S %z")?);
            program.literal(b"]");
        }
        ('t', Some(pattern)) => {
            let pattern = pattern.trim_start_matches("begin:").trim_start_matches("end:");
            match pattern {
                "sec" | "msec" | "usec" => program.take(Some(Field::Time)),
                "msec_frac" | "usec_frac" => program.time(Pattern::new("%L")?),
                pattern => program.time(Pattern::new(pattern)?),
            }
        }
        (letter, argument) => program.take(meaning(letter, argument)),
    }
    Ok(())
}

fn meaning(letter: char, argument: Option<&str>) -> Option<Field> {
    use Field as F;
    Some(match (letter, argument.map(str::to_ascii_lowercase).as_deref()) {
        ('h' | 'a', _) => F::Client,
        ('u', _) => F::User,
        ('v' | 'V', _) => F::Host,
        ('r', _) => F::Request,
        ('m', _) => F::Method,
        ('U', _) => F::Target,
        ('q', _) => F::Query,
        ('H', _) => F::Protocol,
        ('s', _) => F::Status,
        ('b' | 'B' | 'O', _) => F::Bytes,
        ('I', _) => F::RequestBytes,
        ('D', _) | ('T', Some("us")) => F::DurationUs,
        ('T', Some("ms")) => F::DurationMs,
        ('T', _) => F::DurationS,
        ('i', Some("referer")) => F::Referrer,
        ('i', Some("user-agent")) => F::Agent,
        ('i', Some("x-forwarded-for")) => F::ForwardedFor,
        ('i', Some("host")) => F::Host,
        ('o', Some("content-type")) => F::Mime,
        ('x', Some("ssl_protocol")) => F::Tls,
        ('x', Some("ssl_cipher")) => F::Cipher,
        ('e', Some("cache-status")) => F::Cache,
        ('e', Some("balancer_worker_name")) => F::Upstream,
        _ => return None,
    })
}
