//! How large an experiment must be.

use experiment::analysis::{Size, SizeQuestion};
use stats::experiment::power::Baseline;

use super::status::{dash, signed};
use crate::format::{amount, count, percent};
use crate::table::{Style, Table};

/// Units, days, and what could be found week by week.
#[must_use]
pub fn size_text(question: &SizeQuestion, size: &Size, style: Style) -> String {
    let base = match question.baseline {
        Baseline::Proportion { rate } => format!("a rate of {}", percent(rate)),
        Baseline::Mean { mean, variance } => {
            format!("a mean of {} (standard deviation {})", amount(mean), amount(variance.sqrt()))
        }
    };
    let days = match (size.days, size.full_weeks_days) {
        (Some(days), Some(full)) => format!(", about {days} days: plan {full}"),
        _ if question.new_units_per_day.is_empty() => String::new(),
        _ => ", which will never come".to_owned(),
    };
    let head = format!(
        "{} units ({} for each of {} variants){days}",
        count(size.units),
        count(size.units_per_variant),
        question.variants
    );
    let mut text = format!(
        "{}\n  to find {} on {base} with probability {}, error rate {}\n",
        style.bold(&head),
        signed(question.lift),
        percent(question.power),
        percent(question.alpha),
    );
    if !size.by_week.is_empty() {
        let mut table = Table::new(&[], &["weeks", "units", "least lift"]);
        for week in &size.by_week {
            let least = week.least_lift.map_or_else(dash, signed);
            table.row([week.weeks.to_string(), count(week.units), least]);
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    text
}
