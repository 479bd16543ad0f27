//! Turning texts into templates, and collecting the rows of the report.

use http::{HeaderName, Method, header};
use load::scenario::{Endpoint, Origin};
use load::template::{Escape, Symbols, Template, TemplateError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use toml::de::DeValue;

use crate::errors::{Code, Problem, Sink};
use crate::host::{Piece, check_target, pieces};
use crate::read::{Node, Text};

/// Unreserved characters only (RFC 3986 §2.3), for names and values of queries and forms.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Header fields that the engine alone may set, and why.
const RESERVED_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_LENGTH, "it follows from the body"),
    (header::TRANSFER_ENCODING, "bodies are sent with their length"),
    (header::CONNECTION, "use `keep-alive` in [http]"),
    (HeaderName::from_static("keep-alive"), "use `keep-alive` in [http]"),
    (HeaderName::from_static("proxy-connection"), "use `keep-alive` in [http]"),
    (header::UPGRADE, "connections cannot change their protocol"),
];

/// What all steps of a scenario share while they are compiled.
pub(crate) struct Compiler<'a> {
    pub(crate) sink: &'a Sink,
    pub(crate) symbols: Symbols,
    /// Data sources that could not be read: their columns are unknown, which is no second error.
    pub(crate) broken: Vec<String>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// A request target as it is compiled.
pub(crate) struct CompiledTarget {
    pub(crate) origin: Option<Origin>,
    pub(crate) template: Template,
    /// The text without query, as the report names it.
    pub(crate) shown: String,
}

impl Compiler<'_> {
    /// The row of the report with this name and method.
    pub(crate) fn endpoint(&mut self, name: &str, method: &Method) -> usize {
        let known = self.endpoints.iter().position(|row| row.name == name && row.method == *method);
        known.unwrap_or_else(|| {
            self.endpoints.push(Endpoint { name: name.to_owned(), method: method.clone() });
            self.endpoints.len() - 1
        })
    }

    /// A text whose fixed parts are sent as they are.
    pub(crate) fn template(&self, text: Text<'_>, escape: Escape) -> Option<Template> {
        Template::parse(text.text, escape, &self.symbols)
            .map_err(|error| self.bad_templates(text, &error))
            .ok()
    }

    /// A path or URL.
    pub(crate) fn target(&self, text: Text<'_>) -> Option<CompiledTarget> {
        let (origin, path) = check_target(text.text)
            .map_err(|(code, message)| self.sink.add(Problem::new(code, message).at(text.at, "")))
            .ok()?;
        let path_offset = text.text.len() - path.len();
        let mut template = Template::parse_target(path, &self.symbols)
            .map_err(|error| {
                let offset = error.offset + path_offset;
                self.bad_templates(text, &TemplateError { offset, ..error });
            })
            .ok()?;
        if path.is_empty() || path.starts_with('?') {
            let mut rooted = Template::literal("/");
            rooted.push(path, Escape::Component, &self.symbols).ok()?;
            template = rooted;
        }
        let query = path.find('?').unwrap_or(path.len());
        let shown = match &text.text[..path_offset + query] {
            "" => "/",
            shown => shown,
        };
        Some(CompiledTarget { origin, template, shown: shown.to_owned() })
    }

    /// Appends `name=value` pairs, percent-encoded, the first after `first` and others after `&`.
    pub(crate) fn push_pairs(&self, node: &Node<'_>, first: &str, template: &mut Template) {
        for (number, pair) in node.entries().unwrap_or_default().into_iter().enumerate() {
            template.push_literal(if number == 0 { first } else { "&" }.as_bytes());
            template.push_literal(&encode_component(pair.key.text));
            template.push_literal(b"=");
            match pair.value() {
                DeValue::String(text) => {
                    let text = Text { text, at: Some(pair.at()) };
                    self.push_encoded(template, text, Escape::Component, encode_component);
                }
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                    if let Some(value) = static_json(&pair) {
                        template.push_literal(&encode_component(&value.to_string()));
                    }
                }
                _ => pair.wrong_type("text, a number or a boolean"),
            }
        }
    }

    /// Appends a TOML value as JSON text, with templates in its strings.
    pub(crate) fn push_json(&self, node: &Node<'_>, template: &mut Template) {
        match node.value() {
            DeValue::String(text) => {
                template.push_literal(b"\"");
                let text = Text { text, at: Some(node.at()) };
                self.push_encoded(template, text, Escape::Json, |text| {
                    json_inner(text).into_bytes()
                });
                template.push_literal(b"\"");
            }
            DeValue::Array(_) => {
                template.push_literal(b"[");
                for (number, element) in node.list().unwrap_or_default().iter().enumerate() {
                    template.push_literal(if number == 0 { b"" } else { b"," });
                    self.push_json(element, template);
                }
                template.push_literal(b"]");
            }
            DeValue::Table(_) => {
                template.push_literal(b"{");
                for (number, entry) in node.entries().unwrap_or_default().iter().enumerate() {
                    let comma = if number == 0 { "" } else { "," };
                    template.push_literal(
                        format!("{comma}\"{}\":", json_inner(entry.key.text)).as_bytes(),
                    );
                    self.push_json(entry, template);
                }
                template.push_literal(b"}");
            }
            _ => {
                if let Some(value) = static_json(node) {
                    template.push_literal(value.to_string().as_bytes());
                }
            }
        }
    }

    /// Appends a text, its fixed parts encoded by `encode` and its placeholders by `escape`.
    /// Reports every placeholder that is wrong, and says whether there was none.
    fn push_encoded(
        &self,
        template: &mut Template,
        text: Text<'_>,
        escape: Escape,
        encode: impl Fn(&str) -> Vec<u8>,
    ) -> bool {
        let mut fine = true;
        for piece in pieces(text.text) {
            match piece {
                Piece::Literal(literal) => template.push_literal(&encode(literal)),
                Piece::Placeholder(offset, placeholder) => {
                    if let Err(error) = template.push(placeholder, escape, &self.symbols) {
                        let offset = offset + error.offset;
                        self.bad_template(text, &TemplateError { offset, ..error });
                        fine = false;
                    }
                }
            }
        }
        fine
    }

    /// A header field.
    pub(crate) fn header(&self, name: Text<'_>, value: Text<'_>) -> Option<(HeaderName, Template)> {
        let field = header_name(self.sink, name);
        let template = self.template(value, Escape::Header);
        // RFC 9110 §5.5: no control characters but the tab.
        let bad = pieces(value.text).find_map(|piece| match piece {
            Piece::Literal(literal) => literal.chars().find(|c| c.is_control() && *c != '\t'),
            Piece::Placeholder(..) => None,
        });
        if let Some(bad) = bad {
            let message = format!("a header value cannot hold {bad:?}");
            self.sink.add(Problem::new(Code::BadHeader, message).at(value.at, ""));
            return None;
        }
        let field = field?;
        if let Some((_, reason)) = RESERVED_HEADERS.iter().find(|(reserved, _)| *reserved == field)
        {
            let message = format!("header `{field}` is set by the engine");
            self.sink
                .add(Problem::new(Code::ReservedHeader, message).at(name.at, "").help(*reason));
            return None;
        }
        Some((field, template?))
    }

    /// A text without placeholders.
    pub(crate) fn fixed<'t>(&self, text: Text<'t>, what: &str, help: &str) -> Option<&'t str> {
        match Template::parse(text.text, Escape::None, &self.symbols) {
            Ok(template) if template.as_static().is_none() => {
                let message = format!("placeholders are not replaced in {what}");
                self.sink.add(
                    Problem::new(Code::StaticOnly, message).at(text.at, "must be fixed").help(help),
                );
                None
            }
            // Braces that are no placeholder are just text here.
            _ => Some(text.text),
        }
    }

    /// Reports every placeholder of a text that is wrong. Compiling stopped at the first, with
    /// this error.
    fn bad_templates(&self, text: Text<'_>, error: &TemplateError) {
        if self.push_encoded(&mut Template::default(), text, Escape::None, |_| Vec::new()) {
            self.bad_template(text, error);
        }
    }

    fn bad_template(&self, text: Text<'_>, error: &TemplateError) {
        let inner = text.text.get(error.offset..error.offset + error.len).unwrap_or("");
        let name = inner.trim_start_matches("{{").trim_end_matches("}}").trim();
        let of_broken =
            |source: &String| name.split_once('.').is_some_and(|(known, _)| known == source);
        if self.broken.iter().any(of_broken) {
            return;
        }
        let at = text.part(self.sink, error.offset, error.len);
        let problem = Problem::new(Code::BadTemplate, error.problem.clone()).at(at, "");
        let problem = match &error.nearest {
            Some(near) => problem.help(format!("did you mean `{{{{{near}}}}}`?")),
            None if error.problem.starts_with("unknown placeholder") => problem.help(
                "save it with `save` in an earlier step, or name a column of a [data] source: \
                 `{{account.name}}`",
            ),
            None => problem,
        };
        self.sink.add(problem);
    }
}

/// A valid header name (RFC 9110 §5.1).
pub(crate) fn header_name(sink: &Sink, name: Text<'_>) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.text.as_bytes());
    if parsed.is_err() {
        let message = format!("`{}` is not a header name", name.text.escape_debug());
        sink.add(Problem::new(Code::BadHeader, message).at(name.at, ""));
    }
    parsed.ok()
}

/// A TOML value as JSON, without templates. Dates and times become text.
pub(crate) fn static_json(node: &Node<'_>) -> Option<Value> {
    match node.value() {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(value) => Some(Value::from(*value)),
        DeValue::Datetime(value) => Some(Value::from(value.to_string())),
        DeValue::Integer(value) => {
            let (digits, radix) = (value.as_str(), value.radix());
            let number = i64::from_str_radix(digits, radix).map(Value::from);
            let number = number.or_else(|_| u64::from_str_radix(digits, radix).map(Value::from));
            if number.is_err() {
                let message = format!("`{}` is too large for a whole number", node.key.text);
                node.sink.add(node.problem(Code::BadNumber, message, ""));
            }
            number.ok()
        }
        DeValue::Float(value) => {
            let number = value.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            if number.is_none() {
                let message = format!("`{}` is no number that JSON knows", node.key.text);
                node.sink.add(node.problem(Code::BadNumber, message, ""));
            }
            number.map(Value::Number)
        }
        DeValue::Array(_) => {
            let elements: Vec<Option<Value>> = node.list()?.iter().map(static_json).collect();
            elements.into_iter().collect()
        }
        DeValue::Table(_) => {
            let entries: Vec<(String, Option<Value>)> = node
                .entries()?
                .iter()
                .map(|entry| (entry.key.text.to_owned(), static_json(entry)))
                .collect();
            entries.into_iter().map(|(key, value)| Some((key, value?))).collect()
        }
    }
}

fn encode_component(text: &str) -> Vec<u8> {
    percent_encode(text.as_bytes(), COMPONENT).to_string().into_bytes()
}

/// `text` as the inside of a JSON string (RFC 8259 §7).
fn json_inner(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
