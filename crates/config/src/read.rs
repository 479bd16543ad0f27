//! Reading a TOML document value by value. What is wrong goes to the [`Sink`] with its place, and
//! reading goes on, so that all errors are found at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use miette::SourceSpan;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use traffic::{Bytes, Rate};

use crate::errors::{Code, Problem, Sink};

/// A text and where it stands; no place when it comes from the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: Option<SourceSpan>,
}

impl<'a> Text<'a> {
    pub(crate) fn of_flag(text: &'a str) -> Text<'a> {
        Text { text, at: None }
    }

    /// A part of the text, as precisely as the file shows it: escapes make an exact place
    /// impossible, then it is the whole text.
    pub(crate) fn part(&self, sink: &Sink, offset: usize, len: usize) -> Option<SourceSpan> {
        let at = self.at?;
        let raw = sink.text().get(at.offset()..at.offset() + at.len())?;
        let Some(piece) = self.text.get(offset..offset + len).filter(|piece| !piece.is_empty())
        else {
            return Some(at);
        };
        let before = self.text[..offset].matches(piece).count();
        Some(match raw.match_indices(piece).nth(before) {
            Some((found, _)) => (at.offset() + found, len).into(),
            None => at,
        })
    }
}

/// A key and its value.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) sink: &'a Sink,
    /// The key; that of the list for an element of a list.
    pub(crate) key: Text<'a>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Node<'a> {
    /// Where the value stands.
    pub(crate) fn at(&self) -> SourceSpan {
        self.value.span().into()
    }

    pub(crate) fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// Reports the value.
    pub(crate) fn problem(&self, code: Code, message: impl Into<String>, label: &str) -> Problem {
        Problem::new(code, message).at(Some(self.at()), label)
    }

    pub(crate) fn wrong_type(&self, expected: &str) {
        let found = match self.value() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` should be {expected}, but is {found}", self.key.text);
        self.sink.add(self.problem(Code::WrongType, message, &format!("expected {expected}")));
    }

    pub(crate) fn as_text(&self) -> Option<Text<'a>> {
        Some(Text { text: self.value().as_str()?, at: Some(self.at()) })
    }

    pub(crate) fn text(&self) -> Option<Text<'a>> {
        let text = self.as_text();
        if text.is_none() {
            self.wrong_type("text");
        }
        text
    }

    pub(crate) fn owned_text(&self) -> Option<String> {
        Some(self.text()?.text.to_owned())
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        let value = self.value().as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    pub(crate) fn integer<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<u64> + Display + PartialOrd,
    {
        let DeValue::Integer(integer) = self.value() else {
            self.wrong_type("a whole number");
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let value = number.and_then(|number| T::try_from(number).ok());
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            let message = format!("`{}` should be {expected}", self.key.text);
            self.sink.add(self.problem(Code::BadNumber, message, "out of range"));
        }
        value
    }

    /// A unit that is written as text.
    pub(crate) fn parsed<T>(&self, code: Code, example: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.value() {
            DeValue::String(text) => text
                .parse()
                .map_err(|error: T::Err| self.sink.add(self.problem(code, error.to_string(), "")))
                .ok(),
            _ => {
                self.wrong_type(&format!("text such as \"{example}\""));
                None
            }
        }
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        self.parsed::<DurationText>(Code::BadDuration, "1.5s").map(|duration| duration.0)
    }

    /// A rate above zero.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let rate: Rate = self.parsed(Code::BadRate, "100/s")?;
        if rate.as_per_s() > 0.0 {
            return Some(rate);
        }
        let message = format!("`{}` must be above zero", self.key.text);
        self.sink.add(self.problem(Code::BadRate, message, ""));
        None
    }

    pub(crate) fn bytes(&self) -> Option<u64> {
        self.parsed::<Bytes>(Code::BadBytes, "256KiB").map(|bytes| bytes.0)
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?.text;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let message = format!("`{text}` is no choice for `{}`", self.key.text);
            let words = choices.iter().map(|(word, _)| *word);
            self.sink.add(self.problem(Code::BadChoice, message, "").help_nearest(text, words));
        }
        found
    }

    /// A table with known keys; keys that `read` did not ask for are reported.
    pub(crate) fn table<R>(
        &self,
        what: &'a str,
        read: impl FnOnce(&mut Table<'a>) -> Option<R>,
    ) -> Option<R> {
        let Some(table) = self.value().as_table() else {
            self.wrong_type("a table");
            return None;
        };
        Table::read(self.sink, what, self.at(), table, read)
    }

    /// The elements of a list.
    pub(crate) fn list(&self) -> Option<Vec<Node<'a>>> {
        let Some(array) = self.value().as_array() else {
            self.wrong_type("a list");
            return None;
        };
        Some(array.iter().map(|value| Node { sink: self.sink, key: self.key, value }).collect())
    }

    /// The elements of a list, or the value itself when it is none.
    pub(crate) fn list_or_one(&self) -> Vec<Node<'a>> {
        if self.value().is_array() { self.list().unwrap_or_default() } else { vec![*self] }
    }

    /// The entries of a table whose keys are names of the user's choice, in order.
    pub(crate) fn entries(&self) -> Option<Vec<Node<'a>>> {
        let Some(table) = self.value().as_table() else {
            self.wrong_type("a table");
            return None;
        };
        Some(entries(self.sink, table).collect())
    }
}

/// A duration, for [`Node::parsed`].
struct DurationText(Duration);

impl FromStr for DurationText {
    type Err = traffic::UnitError;

    fn from_str(text: &str) -> Result<DurationText, traffic::UnitError> {
        traffic::units::parse_duration(text).map(DurationText)
    }
}

fn entries<'a>(sink: &'a Sink, table: &'a DeTable<'a>) -> impl Iterator<Item = Node<'a>> {
    table.iter().map(move |(key, value)| {
        let key = Text { text: key.get_ref(), at: Some(key.span().into()) };
        Node { sink, key, value }
    })
}

/// A table that is being read.
pub(crate) struct Table<'a> {
    pub(crate) sink: &'a Sink,
    /// What it is, for messages, such as `[load]` or `a step`.
    pub(crate) what: &'a str,
    /// Where it stands.
    pub(crate) at: SourceSpan,
    table: &'a DeTable<'a>,
    known: Vec<&'a str>,
}

impl<'a> Table<'a> {
    /// Reads a table and then reports the keys that nobody asked for.
    pub(crate) fn read<R>(
        sink: &'a Sink,
        what: &'a str,
        at: SourceSpan,
        table: &'a DeTable<'a>,
        read: impl FnOnce(&mut Table<'a>) -> Option<R>,
    ) -> Option<R> {
        let mut reading = Table { sink, what, at, table, known: Vec::new() };
        let value = read(&mut reading);
        for node in reading.rest() {
            let key = node.key;
            let problem =
                Problem::new(Code::UnknownKey, format!("unknown key `{}` in {what}", key.text))
                    .at(key.at, "unknown key")
                    .help_nearest(key.text, reading.known.iter().copied());
            sink.add(problem);
        }
        value
    }

    /// The value of a key, if it is there.
    pub(crate) fn get(&mut self, key: &'a str) -> Option<Node<'a>> {
        self.known.push(key);
        entries(self.sink, self.table).find(|node| node.key.text == key)
    }

    /// The value of a key that must be there.
    pub(crate) fn required(&mut self, key: &'a str) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            let message = format!("{} needs `{key}`", self.what);
            self.sink.add(
                Problem::new(Code::MissingKey, message)
                    .at(Some(self.at), format!("`{key}` is missing")),
            );
        }
        node
    }

    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.keys().any(|known| known.get_ref() == key)
    }

    /// The entries that were not asked for yet.
    pub(crate) fn rest(&self) -> Vec<Node<'a>> {
        entries(self.sink, self.table).filter(|node| !self.known.contains(&node.key.text)).collect()
    }

    /// Takes what is left as known.
    pub(crate) fn take_rest(&mut self) -> Vec<Node<'a>> {
        let rest = self.rest();
        self.known.extend(rest.iter().map(|node| node.key.text));
        rest
    }

    /// Of several keys that exclude each other, those that are there. More than one is reported.
    pub(crate) fn one_of(&mut self, keys: &[&'a str]) -> Option<Node<'a>> {
        let found: Vec<Node<'a>> = keys.iter().filter_map(|key| self.get(key)).collect();
        if let [first, second, ..] = found[..] {
            self.conflict(first.key, second.key, &format!("{} takes only one of them", self.what));
        }
        found.first().copied()
    }

    /// Reports two keys that cannot stand together.
    pub(crate) fn conflict(&self, first: Text<'_>, second: Text<'_>, help: &str) {
        let message = format!("`{}` and `{}` exclude each other", first.text, second.text);
        let problem = Problem::new(Code::Conflict, message)
            .at(second.at, "this")
            .at(first.at, "and this")
            .help(help);
        self.sink.add(problem);
    }
}
