//! Text with `{{…}}` placeholders, compiled once and rendered per request.
//!
//! | placeholder | value |
//! |---|---|
//! | `{{NAME}}` | a value saved by an earlier step |
//! | `{{DATA.COLUMN}}` | a column of the row drawn from a data source |
//! | `{{uuid}}` | a random UUID (version 4) |
//! | `{{random 1 100}}` | a random integer, both ends included |
//! | `{{random-string 8}}` | random letters and digits |
//! | `{{choose a b c}}` | one of the words |
//! | `{{now}}` `{{now-s}}` `{{now-ms}}` `{{today}}` | the time: RFC 3339 UTC, Unix seconds, Unix milliseconds, the UTC date |
//! | `{{user-id}}` `{{iteration}}` | number of the virtual user, of its task run; both from 1 |

use std::io::Write;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};
use rand::RngExt;

use crate::data::{DataColumn, DataRows};
use crate::rng::UserRng;

/// Names of placeholders that every scenario has.
pub const BUILTINS: [&str; 10] = [
    "uuid",
    "now",
    "now-s",
    "now-ms",
    "today",
    "user-id",
    "iteration",
    "random",
    "random-string",
    "choose",
];

/// Longest text that `{{random-string N}}` makes.
pub const RANDOM_STRING_MAX: usize = 4096;

/// Characters that a path segment must not hold literally (RFC 3986 §3.3, `pchar`).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@');
/// Unreserved characters only (RFC 3986 §2.3), for query and form values.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What can never stand in a request target; the rest is left as the value says.
const TARGET: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// How a value is written into its surroundings. Literal text is never escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As it is.
    None,
    /// Inside a path: percent-encoded except `/`.
    Path,
    /// A query or form value: percent-encoded.
    Component,
    /// A whole request target, such as a saved link: only what can never stand in one.
    Target,
    /// Inside a JSON string.
    Json,
    /// In a header: control characters become spaces.
    Header,
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Saved { slot: usize, name: String },
    Column(DataColumn),
    Uuid,
    Random { low: i64, high: i64 },
    RandomString(usize),
    Choose(Vec<String>),
    Now,
    NowSeconds,
    NowMillis,
    Today,
    UserId,
    Iteration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Value(Value, Escape),
}

/// The names that templates of one scenario may use.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    /// Names of saved values; the index is the slot.
    pub saved: Vec<String>,
    /// Data sources and their columns; the indices are those of [`DataColumn`].
    pub data: Vec<(String, Vec<String>)>,
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct TemplateError {
    /// Byte offset of the offending placeholder within the text.
    pub offset: usize,
    /// Its length in bytes.
    pub len: usize,
    /// What is wrong.
    pub problem: String,
    /// The nearest name that would have been right, if there is one.
    pub nearest: Option<String>,
}

/// A compiled text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

/// What a template may draw on while it is rendered.
pub struct RenderContext<'a> {
    /// Saved values by slot.
    pub saved: &'a [Option<String>],
    /// The rows drawn for this task run.
    pub rows: &'a DataRows,
    /// The user's random source.
    pub rng: &'a mut UserRng,
    /// Number of the virtual user, from 1.
    pub user_id: u64,
    /// Number of this user's task run, from 1.
    pub iteration: u64,
}

/// A saved value that a request needs was never saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no value saved as `{0}`")]
pub struct MissingValue(pub String);

impl Template {
    /// A text that is sent as it stands, without placeholders.
    pub fn literal(text: impl Into<Vec<u8>>) -> Template {
        Template { parts: vec![Part::Literal(text.into())] }
    }

    /// Compiles `text`; values are escaped as `escape` says.
    ///
    /// # Errors
    /// [`TemplateError`] for an unclosed placeholder, an unknown name, or wrong arguments.
    pub fn parse(text: &str, escape: Escape, symbols: &Symbols) -> Result<Template, TemplateError> {
        let mut template = Template::default();
        template.push(text, escape, symbols)?;
        Ok(template)
    }

    /// Compiles a request target: values in the path are encoded for a path, values after `?` for
    /// a query, and a value that the target starts with may be a whole link.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse_target(text: &str, symbols: &Symbols) -> Result<Template, TemplateError> {
        let mut template = Template::default();
        let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
        let first = path.starts_with("{{").then(|| path.find("}}").map_or(0, |end| end + 2));
        let (link, path) = path.split_at(first.unwrap_or(0));
        template.push(link, Escape::Target, symbols)?;
        let shift = |by: usize| {
            move |error: TemplateError| TemplateError { offset: error.offset + by, ..error }
        };
        template.push(path, Escape::Path, symbols).map_err(shift(link.len()))?;
        template.push(query, Escape::Component, symbols).map_err(shift(link.len() + path.len()))?;
        Ok(template)
    }

    /// Appends literal bytes.
    pub fn push_literal(&mut self, text: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Literal(last)) => last.extend_from_slice(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Literal(text.to_vec())),
        }
    }

    /// Appends a text with placeholders.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn push(
        &mut self,
        text: &str,
        escape: Escape,
        symbols: &Symbols,
    ) -> Result<(), TemplateError> {
        let mut offset = 0;
        while let Some(open) = text[offset..].find("{{") {
            let start = offset + open;
            self.push_literal(&text.as_bytes()[offset..start]);
            let error = |len: usize, problem: String, nearest: Option<String>| TemplateError {
                offset: start,
                len,
                problem,
                nearest,
            };
            let Some(close) = text[start..].find("}}") else {
                return Err(error(
                    text.len() - start,
                    "`{{` is never closed by `}}`".to_owned(),
                    None,
                ));
            };
            let end = start + close + 2;
            let inner = text[start + 2..end - 2].trim();
            let value = parse_value(inner, symbols)
                .map_err(|(problem, nearest)| error(end - start, problem, nearest))?;
            self.parts.push(Part::Value(value, escape));
            offset = end;
        }
        self.push_literal(&text.as_bytes()[offset..]);
        Ok(())
    }

    /// The text, if it is the same for every request.
    pub fn as_static(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The saved values that rendering needs, by slot.
    pub fn saved_slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(Value::Saved { slot, .. }, _) => Some(*slot),
            _ => None,
        })
    }

    /// The data sources that rendering needs.
    pub fn sources(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(Value::Column(column), _) => Some(column.source),
            _ => None,
        })
    }

    /// Appends the text to `out`.
    ///
    /// # Errors
    /// [`MissingValue`] when a saved value has not been saved yet; `out` then holds a part.
    pub fn render(
        &self,
        ctx: &mut RenderContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MissingValue> {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Value(value, escape) => render_value(value, *escape, ctx, out)?,
            }
        }
        Ok(())
    }
}

fn parse_value(inner: &str, symbols: &Symbols) -> Result<Value, (String, Option<String>)> {
    let mut words = inner.split_whitespace();
    let name = words.next().unwrap_or("");
    let args: Vec<&str> = words.collect();
    let integer = |text: &str| {
        text.parse::<i64>().map_err(|_| (format!("`{text}` is not a whole number"), None))
    };
    let value = match (name, args.as_slice()) {
        ("", _) => return Err(("empty placeholder".to_owned(), None)),
        ("uuid", []) => Value::Uuid,
        ("now", []) => Value::Now,
        ("now-s", []) => Value::NowSeconds,
        ("now-ms", []) => Value::NowMillis,
        ("today", []) => Value::Today,
        ("user-id", []) => Value::UserId,
        ("iteration", []) => Value::Iteration,
        ("random", [low, high]) => {
            let (low, high) = (integer(low)?, integer(high)?);
            if low > high {
                return Err((format!("{low} is greater than {high}"), None));
            }
            Value::Random { low, high }
        }
        ("random", _) => {
            return Err(("`random` takes two numbers: `{{random 1 100}}`".to_owned(), None));
        }
        ("random-string", [len]) => match len.parse() {
            Ok(len) if len <= RANDOM_STRING_MAX => Value::RandomString(len),
            _ => return Err((format!("`{len}` is not a length up to {RANDOM_STRING_MAX}"), None)),
        },
        ("random-string", _) => {
            return Err(("`random-string` takes a length: `{{random-string 8}}`".to_owned(), None));
        }
        ("choose", []) => {
            return Err(("`choose` takes words: `{{choose a b c}}`".to_owned(), None));
        }
        ("choose", words) => Value::Choose(words.iter().map(|&word| word.to_owned()).collect()),
        (name, []) => return lookup(name, symbols),
        (name, _) => return Err((format!("`{name}` takes no arguments"), None)),
    };
    Ok(value)
}

fn lookup(name: &str, symbols: &Symbols) -> Result<Value, (String, Option<String>)> {
    if let Some((source_name, column_name)) = name.split_once('.')
        && let Some(source) = symbols.data.iter().position(|(known, _)| known == source_name)
    {
        let columns = &symbols.data[source].1;
        return match columns.iter().position(|known| known == column_name) {
            Some(column) => Ok(Value::Column(DataColumn { source, column })),
            None => Err((
                format!("data `{source_name}` has no column `{column_name}`"),
                nearest(column_name, columns.iter().map(String::as_str))
                    .map(|column| format!("{source_name}.{column}")),
            )),
        };
    }
    if let Some(slot) = symbols.saved.iter().position(|known| known == name) {
        return Ok(Value::Saved { slot, name: name.to_owned() });
    }
    let columns: Vec<String> = symbols
        .data
        .iter()
        .flat_map(|(source, columns)| {
            columns.iter().map(move |column| format!("{source}.{column}"))
        })
        .collect();
    let known = BUILTINS
        .into_iter()
        .chain(symbols.saved.iter().map(String::as_str))
        .chain(columns.iter().map(String::as_str));
    Err((format!("unknown placeholder `{name}`"), nearest(name, known)))
}

/// The candidate closest to `name`, if it is close enough to be a slip (Damerau–Levenshtein
/// distance, optimal string alignment, of at most a third of the name).
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= 1 + name.len() / 3)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitution.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

fn render_value(
    value: &Value,
    escape: Escape,
    ctx: &mut RenderContext<'_>,
    out: &mut Vec<u8>,
) -> Result<(), MissingValue> {
    const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    match value {
        Value::Saved { slot, name } => match ctx.saved.get(*slot) {
            Some(Some(text)) => write_escaped(text, escape, out),
            _ => return Err(MissingValue(name.clone())),
        },
        Value::Column(column) => write_escaped(ctx.rows.get(*column), escape, out),
        Value::Choose(words) => {
            write_escaped(&words[ctx.rng.random_range(0..words.len())], escape, out);
        }
        Value::Uuid => {
            let (a, b): (u64, u64) = (ctx.rng.random(), ctx.rng.random());
            // RFC 9562 §5.4: version 4 in the 13th digit, variant 10 in the 17th.
            let a = (a & 0xffff_ffff_ffff_0fff) | 0x4000;
            let b = (b & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
            append(
                out,
                format_args!(
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    a >> 32,
                    (a >> 16) & 0xffff,
                    a & 0xffff,
                    b >> 48,
                    b & 0xffff_ffff_ffff
                ),
            );
        }
        Value::Random { low, high } => {
            append(out, format_args!("{}", ctx.rng.random_range(*low..=*high)));
        }
        Value::RandomString(len) => {
            out.extend((0..*len).map(|_| ALPHABET[ctx.rng.random_range(0..ALPHABET.len())]));
        }
        Value::Now => write_escaped(&jiff::Timestamp::now().to_string(), escape, out),
        Value::NowSeconds => append(out, format_args!("{}", jiff::Timestamp::now().as_second())),
        Value::NowMillis => {
            append(out, format_args!("{}", jiff::Timestamp::now().as_millisecond()));
        }
        Value::Today => {
            let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
            append(out, format_args!("{}", now.date()));
        }
        Value::UserId => append(out, format_args!("{}", ctx.user_id)),
        Value::Iteration => append(out, format_args!("{}", ctx.iteration)),
    }
    Ok(())
}

/// Formats into a vector, which cannot fail.
fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn write_escaped(text: &str, escape: Escape, out: &mut Vec<u8>) {
    let set = match escape {
        Escape::None => return out.extend_from_slice(text.as_bytes()),
        Escape::Json => return write_json_inner(text, out),
        Escape::Header => {
            return out.extend(text.bytes().map(|byte| match byte {
                b'\t' => byte,
                0..=31 | 127 => b' ',
                _ => byte,
            }));
        }
        Escape::Path => PATH,
        Escape::Component => COMPONENT,
        Escape::Target => TARGET,
    };
    for piece in percent_encode(text.as_bytes(), set) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Writes `text` as the inside of a JSON string (RFC 8259 §7).
fn write_json_inner(text: &str, out: &mut Vec<u8>) {
    let quoted = serde_json::Value::from(text).to_string();
    out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn symbols() -> Symbols {
        Symbols {
            saved: vec!["token".to_owned(), "link".to_owned()],
            data: vec![("account".to_owned(), vec!["name".to_owned(), "password".to_owned()])],
        }
    }

    fn render(template: &Template, token: Option<&str>) -> Result<String, MissingValue> {
        let rows = DataRows::of_test(vec![vec!["ann & co".to_owned(), "s/ecret".to_owned()]]);
        let mut ctx = RenderContext {
            saved: &[token.map(str::to_owned), Some("/page/2?q=a b".to_owned())],
            rows: &rows,
            rng: &mut UserRng::seed_from_u64(1),
            user_id: 7,
            iteration: 3,
        };
        let mut out = Vec::new();
        template.render(&mut ctx, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        let target = |text| {
            render(&Template::parse_target(text, &symbols()).unwrap(), Some("a/b?")).unwrap()
        };
        assert_eq!(
            target("/x/{{account.name}}?n={{account.name}}&p={{account.password}}"),
            "/x/ann%20%26%20co?n=ann%20%26%20co&p=s%2Fecret"
        );
        assert_eq!(target("{{link}}"), "/page/2?q=a%20b");
        assert_eq!(target("/u/{{user-id}}/{{iteration}}"), "/u/7/3");
        let json = Template::parse(r#"{"t":"{{token}}"}"#, Escape::Json, &symbols()).unwrap();
        assert_eq!(render(&json, Some("a\"b\n")).unwrap(), r#"{"t":"a\"b\n"}"#);
        let header = Template::parse("Bearer {{token}}", Escape::Header, &symbols()).unwrap();
        assert_eq!(render(&header, Some("x\r\nevil: 1")).unwrap(), "Bearer x  evil: 1");
        assert_eq!(render(&header, None), Err(MissingValue("token".to_owned())));
    }

    #[test]
    fn builtins_have_their_form() {
        let text =
            |text| render(&Template::parse(text, Escape::None, &symbols()).unwrap(), None).unwrap();
        let uuid = text("{{uuid}}");
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        assert!(matches!(text("{{random 1 3}}").as_str(), "1" | "2" | "3"));
        assert_eq!(text("{{random-string 8}}").len(), 8);
        assert!(matches!(text("{{choose a b}}").as_str(), "a" | "b"));
        assert!(text("{{now}}").ends_with('Z'));
        assert_eq!(text("{{today}}").len(), 10);
    }

    #[test]
    fn errors_name_the_place_and_the_nearest_name() {
        let error = |text| Template::parse(text, Escape::None, &symbols()).unwrap_err();
        let unknown = error("Bearer {{tokn}}!");
        assert_eq!((unknown.offset, unknown.len), (7, 8));
        assert_eq!(unknown.nearest.as_deref(), Some("token"));
        assert_eq!(error("{{account.nam}}").nearest.as_deref(), Some("account.name"));
        assert_eq!(error("a {{token").problem, "`{{` is never closed by `}}`");
        assert!(error("{{random 5 1}}").problem.contains("greater"));
        assert_eq!(error("{{}}").problem, "empty placeholder");
    }

    #[test]
    fn static_texts_are_known() {
        let plain = Template::parse("/a?b=c", Escape::None, &symbols()).unwrap();
        assert_eq!(plain.as_static(), Some(&b"/a?b=c"[..]));
        assert_eq!(
            Template::parse("{{uuid}}", Escape::None, &symbols()).unwrap().as_static(),
            None
        );
    }

    proptest! {
        #[test]
        fn any_text_compiles_or_fails(text in ".{0,40}") {
            let _ = Template::parse_target(&text, &symbols());
            if !text.contains("{{") {
                let template = Template::parse(&text, Escape::None, &symbols()).unwrap();
                prop_assert_eq!(template.as_static(), Some(text.as_bytes()));
            }
        }
    }
}
