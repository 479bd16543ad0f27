//! What is odd about a source of counts, and what makes it useless.

use std::fmt;

use super::{LINE_BYTES_MAX, LINES_MAX, SPAN_S_MIN, STEPS_MIN};

/// Something about the input that was repaired, or that the reader of a plan should know.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Lines were left out.
    Unreadable {
        /// How many.
        lines: usize,
        /// Number of the first, from 1.
        first: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Times name no zone and none was given.
    ZoneAssumed,
    /// Some times name a zone and some do not.
    SomeZones {
        /// Times that do.
        with: usize,
        /// Times that do not.
        without: usize,
    },
    /// Times are of zones that are further apart than summer and winter time.
    TwoZones {
        /// Least offset from UTC, in seconds.
        least_s: i32,
        /// Greatest.
        greatest_s: i32,
    },
    /// Times that the clocks of the zone skip.
    Skipped {
        /// How many.
        lines: usize,
    },
    /// Lines that are earlier than the line before.
    Unsorted {
        /// How many.
        lines: usize,
    },
    /// The clock was set back: later lines tell of a time that was told of before.
    SetBack {
        /// How often.
        times: usize,
        /// Number of the first line after it, from 1.
        line: usize,
        /// By how much, in seconds, the first time.
        by_s: i64,
    },
    /// Lines from another time, far from the longest stretch, were left out.
    Jumped {
        /// How many lines.
        lines: usize,
        /// Number of the first, from 1.
        line: usize,
    },
    /// Several lines of the same step.
    Repeated {
        /// Lines beside the first of each step.
        lines: usize,
        /// What was made of them.
        taken: Repeated,
    },
    /// Steps begin between the multiples of their length.
    Shifted {
        /// By how much they were put earlier, in seconds; negative when they were put later.
        by_s: i64,
    },
    /// Lines whose distance from others is no multiple of the step.
    Irregular {
        /// How many.
        lines: usize,
        /// The step, in seconds.
        step_s: u32,
    },
    /// Steps of which nothing is known.
    Gaps {
        /// How many stretches of them.
        gaps: usize,
        /// How many steps.
        steps: usize,
        /// Longest stretch, in seconds.
        longest_s: i64,
    },
    /// Short gaps in counts that reach down to one, but never say zero.
    ZerosLeftOut {
        /// Steps that were taken as without requests.
        steps: usize,
    },
    /// All counts are equal: there is nothing to scale with.
    Constant {
        /// The count.
        value: f64,
    },
}

/// What was made of several lines of the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// All say the same, and were counted once.
    Once,
    /// Most steps have several lines: they are parts, and were added.
    Added,
    /// They contradict each other; their mean was taken.
    Averaged,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { lines, first, reason } => {
                write!(out, "{lines} lines were left out; the first is line {first}: {reason}")
            }
            Self::ZoneAssumed => {
                write!(out, "times name no zone and are taken as UTC: say which zone they are of")
            }
            Self::SomeZones { with, without } => write!(
                out,
                "{with} times name a zone and {without} do not: the latter are taken as of the zone given"
            ),
            Self::TwoZones { least_s, greatest_s } => write!(
                out,
                "times are of zones between {least_s} s and {greatest_s} s from UTC: days and weeks follow one of them"
            ),
            Self::Skipped { lines } => {
                write!(
                    out,
                    "{lines} times do not exist in their zone (clocks skip them): is it the right zone?"
                )
            }
            Self::Unsorted { lines } => {
                write!(out, "{lines} lines are earlier than the line before; they were sorted")
            }
            Self::SetBack { times, line, by_s } => write!(
                out,
                "the clock was set back {times} times, first at line {line} by {by_s} s: what was told twice was averaged"
            ),
            Self::Jumped { lines, line } => write!(
                out,
                "{lines} lines (first line {line}) are more than a month away from the others and were left out: a clock that jumped?"
            ),
            Self::Repeated { lines, taken } => {
                let what = match taken {
                    Repeated::Once => "say the same as another and were counted once",
                    Repeated::Added => {
                        "are of the same step as another; as most steps have several, they were added"
                    }
                    Repeated::Averaged => "contradict another of the same step; the mean was taken",
                };
                write!(out, "{lines} lines {what}")
            }
            Self::Shifted { by_s } => {
                let (side, shown) =
                    if *by_s < 0 { ("before", "later") } else { ("after", "earlier") };
                write!(
                    out,
                    "steps begin {} s {side} multiples of their length, and are shown that much {shown}",
                    by_s.abs()
                )
            }
            Self::Irregular { lines, step_s } => {
                write!(
                    out,
                    "{lines} lines do not fit into steps of {step_s} s; each was put into the nearest"
                )
            }
            Self::Gaps { gaps, steps, longest_s } => {
                write!(
                    out,
                    "nothing is known of {steps} steps in {gaps} gaps, the longest of {longest_s} s"
                )
            }
            Self::ZerosLeftOut { steps } => write!(
                out,
                "no line says 0 although counts are as low as that; {steps} missing steps were taken as without requests"
            ),
            Self::Constant { value } => {
                write!(out, "all counts are {value}: a fixed size serves such traffic")
            }
        }
    }
}

/// Why counts cannot be planned from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CountsError {
    /// There is nothing.
    #[error("there are no counts: the input is empty")]
    Empty,
    /// There is too little.
    #[error(
        "{steps} known steps in {span_s} s are too few to plan from: at least {STEPS_MIN} steps and {SPAN_S_MIN} s are needed, a week or more is better"
    )]
    TooShort {
        /// Known steps.
        steps: usize,
        /// Time between begin and end, in seconds.
        span_s: i64,
    },
    /// There is too much.
    #[error("more than {LINES_MAX} steps: count by the minute, or give a shorter time")]
    TooLong,
    /// All counts are zero.
    #[error("all counts are zero: there is no demand to plan for")]
    NoRequests,
    /// A column is missing.
    #[error("no column of {column} among {}: name one `timestamp` and one `requests`", found.join(", "))]
    NoColumn {
        /// What is missing.
        column: &'static str,
        /// Names of the columns that are there; the first few.
        found: Vec<String>,
    },
    /// A count is negative.
    #[error("line {line}: {value} requests: a count cannot be negative")]
    Negative {
        /// Number of the line, from 1.
        line: usize,
        /// The count.
        value: f64,
    },
    /// Most lines cannot be read.
    #[error("{lines} lines, most of all, cannot be read; the first is line {line}: {reason}")]
    Unreadable {
        /// Number of the first, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
        /// How many cannot be read.
        lines: usize,
    },
    /// A line is too long.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes: this is no CSV of counts")]
    LongLine {
        /// Number of the line, from 1.
        line: usize,
    },
    /// Steps are longer than a day.
    #[error("lines are {step_s} s apart: steps of at most a day are needed")]
    LongStep {
        /// The step, in seconds.
        step_s: i64,
    },
    /// Reading failed.
    #[error("line {line} cannot be read: {kind}")]
    Io {
        /// Number of the line, from 1.
        line: usize,
        /// What went wrong.
        kind: std::io::ErrorKind,
    },
}
