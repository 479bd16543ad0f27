//! Access-log lines: the one definition of what the gateway writes and what log readers expect.
//!
//! No client can forge a line or a field; `escape.rs` says how values are written.

mod escape;
mod field;
mod template;
mod time;

use crate::Hit;
use escape::{json_text, number, seconds, six_digits, value, word};
use field::Value;
use template::Part;
use time::{Second, format_combined, format_rfc3339};

pub use escape::unescape_text;
pub use field::HitField;
pub use template::{Template, TemplateError};

/// Writes lines, remembering the text of the last second.
#[derive(Debug, Clone, Default)]
pub struct LineWriter {
    combined: Second,
    rfc3339: Second,
}

impl LineWriter {
    /// A writer.
    pub fn new() -> LineWriter {
        LineWriter::default()
    }

    /// Appends a line in the combined format of Apache and nginx. The request is `-` when nothing
    /// of it could be read.
    pub fn write_combined(&mut self, out: &mut Vec<u8>, hit: &Hit<'_>) {
        word(out, if hit.client.is_empty() { b"-" } else { hit.client });
        out.extend_from_slice(b" - ");
        optional(out, hit.user, false);
        out.extend_from_slice(b" [");
        let unix = hit.start_us.div_euclid(1_000_000);
        out.extend_from_slice(self.combined.text(unix, format_combined).as_bytes());
        out.extend_from_slice(b"] \"");
        if hit.method.is_empty() || hit.target.is_empty() {
            out.push(b'-');
        } else {
            word(out, hit.method);
            out.push(b' ');
            word(out, hit.target);
            if let Some(protocol) = hit.protocol {
                out.push(b' ');
                word(out, protocol);
            }
        }
        out.extend_from_slice(b"\" ");
        number(out, u64::from(hit.status));
        out.push(b' ');
        match hit.bytes {
            Some(bytes) => number(out, bytes),
            None => out.push(b'-'),
        }
        for field in [hit.referrer, hit.agent] {
            out.extend_from_slice(b" \"");
            optional(out, field, true);
            out.push(b'"');
        }
        out.push(b'\n');
    }

    /// Appends a JSON object with every field that the hit has.
    pub fn write_json(&mut self, out: &mut Vec<u8>, hit: &Hit<'_>) {
        let begin = out.len();
        for field in HitField::ALL {
            // The target holds both.
            if matches!(field, HitField::Path | HitField::Query) {
                continue;
            }
            let value = field.of(hit);
            if matches!(value, Value::None) {
                continue;
            }
            out.extend_from_slice(field.json_key().as_bytes());
            match value {
                Value::Text(text) => {
                    out.push(b'"');
                    json_text(out, text);
                    out.push(b'"');
                }
                Value::Start(us) => {
                    out.push(b'"');
                    self.start(out, us);
                    out.push(b'"');
                }
                Value::Number(value) => number(out, value),
                Value::Seconds(us) => seconds(out, us),
                Value::None => {}
            }
        }
        // The comma before the first key.
        if let Some(first) = out.get_mut(begin) {
            *first = b'{';
        }
        out.extend_from_slice(b"}\n");
    }

    /// Appends a line of a template; `-` stands for what a hit does not have.
    pub fn write_template(&mut self, out: &mut Vec<u8>, template: &Template, hit: &Hit<'_>) {
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Field { field, quoted } => match field.of(hit) {
                    Value::None => out.push(b'-'),
                    Value::Text(text) => value(out, text, *quoted),
                    Value::Start(us) => self.start(out, us),
                    Value::Number(value) => number(out, value),
                    Value::Seconds(us) => seconds(out, us),
                },
            }
        }
        out.push(b'\n');
    }

    fn start(&mut self, out: &mut Vec<u8>, us: i64) {
        let unix = us.div_euclid(1_000_000);
        out.extend_from_slice(self.rfc3339.text(unix, format_rfc3339).as_bytes());
        out.push(b'.');
        six_digits(out, us.rem_euclid(1_000_000) as u32);
        out.push(b'Z');
    }
}

fn optional(out: &mut Vec<u8>, field: Option<&[u8]>, quoted: bool) {
    match field {
        Some(text) => value(out, text, quoted),
        None => out.push(b'-'),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Hit<'static> {
        Hit {
            start_us: 784_111_777_000_042,
            duration_us: Some(1_500_003),
            client: b"192.0.2.7",
            user: Some(b"ann b"),
            host: Some(b"shop.example"),
            method: b"GET",
            target: b"/a?q=\"x\"",
            protocol: Some(b"HTTP/1.1"),
            status: 200,
            bytes: Some(1234),
            agent: Some(b"curl\n\xe2\x80\xae"),
            route: Some(b"site"),
            attempts: Some(2),
            cache: Some(b"hit"),
            ttfb_us: Some(20),
            ..Hit::default()
        }
    }

    fn written(write: impl FnOnce(&mut LineWriter, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut LineWriter::new(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_look_as_they_should() {
        assert_eq!(
            written(|writer, out| writer.write_combined(out, &example())),
            "192.0.2.7 - ann\\x20b [06/Nov/1994:08:49:37 +0000] \"GET /a?q=\\x22x\\x22 HTTP/1.1\" \
             200 1234 \"-\" \"curl\\x0a\\xe2\\x80\\xae\"\n"
        );
        assert_eq!(
            written(|writer, out| writer.write_json(out, &example())),
            "{\"start\":\"1994-11-06T08:49:37.000042Z\",\"client\":\"192.0.2.7\",\
             \"user\":\"ann b\",\"method\":\"GET\",\"host\":\"shop.example\",\
             \"target\":\"/a?q=\\\"x\\\"\",\"protocol\":\"HTTP/1.1\",\"status\":200,\
             \"bytes\":1234,\"duration\":1.500003,\"ttfb\":0.000020,\"route\":\"site\",\
             \"attempts\":2,\"cache\":\"hit\",\"agent\":\"curl\\u000a\\u00e2\\u0080\\u00ae\"}\n"
        );
        let template: Template = "{path}|{query}|{{{status}}}|{server}|{duration}".parse().unwrap();
        assert_eq!(
            written(|writer, out| writer.write_template(out, &template, &example())),
            "/a|q=\\x22x\\x22|{200}|-|1.500003\n"
        );
    }

    proptest! {
        #[test]
        fn no_field_ends_a_line(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            start_us in -60_000_000_000_000_000_i64..250_000_000_000_000_000,
        ) {
            let hit = Hit {
                start_us,
                client: &bytes,
                user: Some(&bytes),
                method: &bytes,
                target: &bytes,
                agent: Some(&bytes),
                route: Some(&bytes),
                ..example()
            };
            let mut writer = LineWriter::new();
            let mut line = |write: &dyn Fn(&mut LineWriter, &mut Vec<u8>)| {
                let mut out = Vec::new();
                write(&mut writer, &mut out);
                String::from_utf8(out).unwrap()
            };
            let combined = line(&|writer, out| writer.write_combined(out, &hit));
            let json = line(&|writer, out| writer.write_json(out, &hit));
            let template: Template = "{client} {user} \"{agent}\" {target}".parse().unwrap();
            let own = line(&|writer, out| writer.write_template(out, &template, &hit));
            for line in [&combined, &json, &own] {
                prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
                prop_assert!(!line.trim_end().contains(char::is_control));
            }
            // Fields can be told apart by quotes and spaces.
            prop_assert_eq!(combined.matches('"').count(), if bytes.is_empty() { 8 } else { 6 });
            let outside: Vec<&str> = own.split('"').step_by(2).collect();
            if !bytes.is_empty() {
                prop_assert_eq!(outside.len(), 2);
                prop_assert_eq!(outside.concat().split(' ').count(), 4);
            }
        }
    }
}
