//! Errors of scenario and gateway files: a stable code, a message, the places in the text, and a
//! hint.

use std::collections::BTreeSet;
use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

/// Most errors that a report shows in full; the rest is counted.
pub const ERRORS_SHOWN_MAX: usize = 50;

/// Width of a rendered report, in columns.
const REPORT_WIDTH: usize = 100;

/// What kind of file is read; its word comes before the codes of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What users do: `scenario::…`.
    Scenario,
    /// What a gateway does: `config::…`.
    Gateway,
}

/// A file's name and text.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// Line and column of a byte, both from 1; columns count characters, as editors do.
    fn position(&self, offset: usize) -> Option<(usize, usize)> {
        let before = self.text.get(..offset)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }
}

impl SourceCode for SourceFile {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, lines_before, lines_after)?;
        // Miette counts columns in bytes.
        let column = match self.position(found.span().offset()) {
            Some((_, column)) => column - 1,
            None => found.column(),
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            found.line(),
            column,
            found.line_count(),
        )))
    }
}

macro_rules! codes {
    ($($variant:ident => $text:literal, $meaning:literal;)*) => {
        /// What kind of error it is. The text of a code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The stable text, such as `unknown-key`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    Syntax => "syntax", "The file is not TOML.";
    UnreadableFile => "unreadable-file", "A file cannot be read, or is larger than its limit.";
    UnknownKey => "unknown-key", "A key has no meaning where it stands.";
    MissingKey => "missing-key", "A key that is needed is not there.";
    WrongType => "wrong-type", "A value has another type than it should.";
    BadDuration => "bad-duration", "A text is not a duration.";
    BadRate => "bad-rate", "A text is not a rate, or the rate is zero.";
    BadBytes => "bad-bytes", "A text is not a number of bytes.";
    BadNumber => "bad-number", "A number is outside of its range.";
    BadChoice => "bad-choice", "A text is none of the words allowed.";
    BadRange => "bad-range", "The low end of a range is above its high end.";
    BadHost => "bad-host", "A host is not an http or https URL.";
    BadPath => "bad-path", "A path cannot be sent as it is written.";
    BadMethod => "bad-method", "A request method cannot be used.";
    BadHeader => "bad-header", "A header name or value is not valid.";
    ReservedHeader => "reserved-header", "A header field belongs to the engine.";
    BadTemplate => "bad-template", "A placeholder is unknown, unclosed or has wrong arguments.";
    StaticOnly => "static-only", "A placeholder stands where the text must be fixed.";
    BadRegex => "bad-regex", "A text is not a regular expression.";
    BadPointer => "bad-pointer", "A text is not a JSON pointer.";
    BadStatus => "bad-status", "A text is not a status or a range of statuses.";
    BadName => "bad-name", "A name cannot be used in placeholders.";
    DuplicateName => "duplicate-name", "The same name is given twice.";
    BadData => "bad-data", "A data file is malformed or empty.";
    BadShare => "bad-share", "A text is not a share, or the share is zero where it cannot be.";
    BadAddress => "bad-address", "A text is not an address, or no range of addresses.";
    BadSecret => "bad-secret", "A secret is not there, is too short, or has the wrong form.";
    BadExperiment => "bad-experiment", "An experiment contradicts itself or cannot be run.";
    BadDate => "bad-date", "A text is not a date and time with an offset.";
    BadSlo => "bad-slo", "A service level objective cannot be understood.";
    UnknownName => "unknown-name", "A name is used that nothing has.";
    UnknownTask => "unknown-task", "An objective names a task or endpoint that does not exist.";
    BadConnectTo => "bad-connect-to", "A text is neither `host:port` nor `unix:/path`.";
    Duplicate => "duplicate", "Two entries are the same, so that the second would do nothing.";
    NoEffect => "no-effect", "A setting would do nothing where it stands.";
    Unprotected => "unprotected", "Everybody could change what the gateway does.";
    Conflict => "conflict", "Two settings exclude each other.";
    NoTask => "no-task", "There is no task that could be chosen.";
    NoHost => "no-host", "A request has no host to go to.";
    TooMany => "too-many", "There are more of something than a limit allows.";
}

/// One error.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    kind: Kind,
    message: String,
    labels: Vec<(SourceSpan, String)>,
    help: Option<String>,
    source: Option<Arc<SourceFile>>,
}

impl Problem {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Problem {
        let (labels, help, source) = (Vec::new(), None, None);
        // The sink that it goes to knows the kind.
        Problem { code, kind: Kind::Scenario, message: message.into(), labels, help, source }
    }

    /// Underlines a place, if the text has one. The first place is the one that is reported.
    pub(crate) fn at(mut self, at: Option<SourceSpan>, label: impl Into<String>) -> Problem {
        self.labels.extend(at.map(|at| (at, label.into())));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Proposes the candidate nearest to what was written, or else lists some of them.
    pub(crate) fn help_nearest<'n>(
        self,
        written: &str,
        candidates: impl Iterator<Item = &'n str>,
    ) -> Problem {
        const LISTED_MAX: usize = 16;
        let known: BTreeSet<&str> = candidates.collect();
        // Any word of two letters is near to any other.
        let near = load::template::nearest(written, known.iter().copied())
            .filter(|_| written.chars().count() > 2);
        match near {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => {
                let listed: Vec<String> =
                    known.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
                let more = if known.len() > LISTED_MAX { ", ..." } else { "" };
                self.help(format!("known here: {}{more}", listed.join(", ")))
            }
        }
    }

    /// What kind of error it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Its code as it is shown: the kind of file and the code, such as `scenario::unknown-key` or
    /// `config::unknown-key`.
    pub fn full_code(&self) -> String {
        let kind = match self.kind {
            Kind::Scenario => "scenario",
            Kind::Gateway => "config",
        };
        format!("{kind}::{}", self.code.as_str())
    }

    /// What can be done about it, when that is known.
    pub fn hint(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// File name, line and column, both from 1; `None` when the error is not about a file's text.
    pub fn position(&self) -> Option<(&str, usize, usize)> {
        let source = self.source.as_ref()?;
        let (line, column) = source.position(self.labels.first()?.0.offset())?;
        Some((&source.name, line, column))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.full_code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| &**source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.labels.iter().enumerate().map(|(number, (at, text))| {
            let text = (!text.is_empty()).then(|| text.clone());
            match number {
                0 => LabeledSpan::new_primary_with_span(text, *at),
                _ => LabeledSpan::new_with_span(text, *at),
            }
        });
        (!self.labels.is_empty()).then(|| Box::new(labels) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// ASCII without colours, for pipes and files.
    Plain,
    /// Line-drawing characters without colours.
    Lines,
    /// Line-drawing characters and colours.
    Colours,
}

impl Look {
    /// What standard error can show: plain unless it is a terminal, and without colours when the
    /// variable `NO_COLOR` is set to anything (<https://no-color.org>).
    pub fn of_stderr() -> Look {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match (std::io::stderr().is_terminal(), no_color) {
            (false, _) => Look::Plain,
            (true, true) => Look::Lines,
            (true, false) => Look::Colours,
        }
    }
}

/// Everything that is wrong, in the order of the file; never empty.
#[derive(Debug, Clone)]
pub struct Errors(Vec<Problem>);

impl Errors {
    /// The single errors.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// The report: every error with its place, the text underlined, its code and a hint; at most
    /// [`ERRORS_SHOWN_MAX`] of them.
    pub fn render(&self, look: Look) -> String {
        let theme = match look {
            Look::Plain => GraphicalTheme::none(),
            Look::Lines => GraphicalTheme::unicode_nocolor(),
            Look::Colours => GraphicalTheme::unicode(),
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(REPORT_WIDTH)
            .with_context_lines(1)
            .with_links(false);
        let mut text = String::new();
        for problem in self.0.iter().take(ERRORS_SHOWN_MAX) {
            if handler.render_report(&mut text, problem).is_err() {
                // A place that the renderer cannot show still has its message.
                text.push_str(&problem.message);
            }
            text.push('\n');
        }
        if self.0.len() > ERRORS_SHOWN_MAX {
            text.push_str(&format!("... and {} more\n", self.0.len() - ERRORS_SHOWN_MAX));
        }
        let count = self.0.len();
        text.push_str(&format!("{count} error{}\n", if count == 1 { "" } else { "s" }));
        text
    }
}

impl fmt::Display for Errors {
    /// One line for each error: `file:line:column: message [code]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            if let Some((file, line, column)) = problem.position() {
                write!(f, "{file}:{line}:{column}: ")?;
            }
            write!(f, "{problem} [{}]", problem.full_code())?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Collects the errors of one file, or of the command line when there is no file.
#[derive(Debug)]
pub(crate) struct Sink {
    kind: Kind,
    file: Option<Arc<SourceFile>>,
    problems: std::cell::RefCell<Vec<Problem>>,
}

impl Sink {
    pub(crate) fn new(kind: Kind, file: Option<Arc<SourceFile>>) -> Sink {
        Sink { kind, file, problems: std::cell::RefCell::default() }
    }

    /// For the text of a file.
    pub(crate) fn of_text(kind: Kind, name: &str, text: &str) -> Sink {
        let (name, text) = (name.to_owned(), text.to_owned());
        Sink::new(kind, Some(Arc::new(SourceFile { name, text })))
    }

    pub(crate) fn file(&self) -> Option<&Arc<SourceFile>> {
        self.file.as_ref()
    }

    /// The text of the file; empty when there is none.
    pub(crate) fn text(&self) -> &str {
        self.file.as_ref().map_or("", |file| &file.text)
    }

    pub(crate) fn add(&self, problem: Problem) {
        let source = self.file.clone().filter(|_| !problem.labels.is_empty());
        self.problems.borrow_mut().push(Problem { source, kind: self.kind, ..problem });
    }

    /// `value`, unless there were errors.
    ///
    /// A part that is `None` has reported why; should one ever not, that is an error of its own.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Errors> {
        let kind = self.kind;
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.labels.first().map(|(at, _)| at.offset()));
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            None if problems.is_empty() => {
                let problem = Problem::new(Code::Syntax, "the file cannot be used");
                Err(Errors(vec![Problem { kind, ..problem }]))
            }
            _ => Err(Errors(problems)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink_of(text: &str) -> Sink {
        Sink::of_text(Kind::Scenario, "s.toml", text)
    }

    #[test]
    fn codes_are_unique_and_documented() {
        let docs = [
            ("scenario", include_str!("../../../docs/reference/scenario-errors.md")),
            ("config", include_str!("../../../docs/reference/gateway.md")),
            ("config", include_str!("../../../docs/reference/experiments.md")),
        ];
        let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in codes {
            let row = |kind: &str| format!("| `{kind}::{code}` |");
            let found = docs.iter().any(|(kind, text)| text.contains(&row(kind)));
            assert!(found, "{code} is not in the docs");
        }
    }

    #[test]
    fn each_kind_of_file_has_its_prefix() {
        for (kind, expected) in
            [(Kind::Scenario, "a [scenario::no-host]"), (Kind::Gateway, "a [config::no-host]")]
        {
            let sink = Sink::new(kind, None);
            sink.add(Problem::new(Code::NoHost, "a"));
            assert_eq!(sink.finish(Some(())).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let sink = sink_of("a\näb = 1\n");
        sink.add(Problem::new(Code::UnknownKey, "unknown").at(Some((4, 1).into()), "here"));
        let errors = sink.finish(Some(())).unwrap_err();
        assert_eq!(errors.to_string(), "s.toml:2:2: unknown [scenario::unknown-key]");
        assert!(errors.render(Look::Plain).contains("[s.toml:2:2]"));
    }

    #[test]
    fn a_plain_report_of_ascii_text_is_ascii() {
        let sink = sink_of("a = 1\n");
        sink.add(
            Problem::new(Code::UnknownKey, "unknown").at(Some((0, 1).into()), "here").help("x"),
        );
        let errors = sink.finish(Some(())).unwrap_err();
        assert!(errors.render(Look::Plain).is_ascii());
        let lines = errors.render(Look::Lines);
        assert!(!lines.is_ascii() && !lines.contains('\u{1b}'));
    }
}
