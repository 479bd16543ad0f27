//! A comparison as text and as JSON.

use serde_json::{Value, json};

use super::{CompareOptions, Comparison, Figure, Judgement, Row, Side};
use crate::figures::ESTIMATOR;
use crate::format;
use crate::json::rounded;
use crate::runfile::EndpointName;
use crate::table::{Style, Table, shortened};

/// Schema of [`Comparison::to_json`].
const SCHEMA: &str = "tidegate.compare/1";
/// How intervals and p-values come about.
const METHOD: &str = "circular block bootstrap over seconds: percentile intervals, \
     Student's t with the bootstrap's standard error, Holm's correction over all judged figures";

impl Comparison {
    /// The comparison as JSON, schema `tidegate.compare/1`.
    pub fn to_json(&self) -> Value {
        let options = &self.options;
        json!({
            "schema": SCHEMA,
            "verdict": self.verdict.name(),
            "a": side_json(&self.a),
            "b": side_json(&self.b),
            "rows": self.rows.iter().map(row_json).collect::<Vec<_>>(),
            "only-in-a": names_json(&self.only_in_a),
            "only-in-b": names_json(&self.only_in_b),
            "notes": self.notes,
            "options": {
                "confidence": options.confidence,
                "threshold-ratio": options.threshold_ratio,
                "threshold-abs-ms": options.threshold_abs.as_secs_f64() * 1e3,
                "threshold-failures": options.threshold_failures,
                "replicates": options.replicates,
                "seed": options.seed,
                "warm-up-s": options.warm_up.as_secs_f64(),
            },
            "method": METHOD,
            "estimator": ESTIMATOR,
        })
    }

    /// The comparison for people.
    pub fn to_text(&self, style: Style) -> String {
        let good = self.verdict != Judgement::Regression;
        let mut text = format!("{}\n", style.verdict(good, &self.sentence()));
        for note in &self.notes {
            text.push_str(&format!("  note: {note}\n"));
        }
        text.push_str(&format!(
            "\nA: {}, {}, {}\nB: {}, {}, {}\n",
            format::length(self.a.seconds),
            format::plural(self.a.requests, "request"),
            shortened(&self.a.host, 200),
            format::length(self.b.seconds),
            format::plural(self.b.requests, "request"),
            shortened(&self.b.host, 200),
        ));
        for rows in self.rows.chunk_by(|a, b| a.endpoint == b.endpoint) {
            let title = style.bold(&shortened(&endpoint_text(rows[0].endpoint.as_ref()), 100));
            text.push_str(&format!("\n{title}\n{}", table(rows, &self.options)));
        }
        for (run, names) in [("A", &self.only_in_a), ("B", &self.only_in_b)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|it| endpoint_text(Some(it))).collect();
                text.push_str(&format!("\nOnly in {run}: {}\n", shortened(&names.join(", "), 300)));
            }
        }
        text.push_str(&format!("\n{}\n", style.dim(&self.method_text())));
        text
    }

    fn sentence(&self) -> String {
        let of = |judgement| {
            let rows: Vec<&Row> =
                self.rows.iter().filter(|row| row.judgement == judgement).collect();
            let endpoints = rows.chunk_by(|a, b| a.endpoint == b.endpoint).map(|rows| {
                let figures: Vec<&str> = rows.iter().map(|row| figure_text(row.figure)).collect();
                format!("{} ({})", endpoint_text(rows[0].endpoint.as_ref()), figures.join(", "))
            });
            shortened(&endpoints.collect::<Vec<_>>().join(", "), 300)
        };
        let (worse, better) = (of(Judgement::Regression), of(Judgement::Improvement));
        match self.verdict {
            Judgement::Regression if better.is_empty() => {
                format!("Regression: B is worse in {worse}.")
            }
            Judgement::Regression => {
                format!("Regression: B is worse in {worse}; it is better in {better}.")
            }
            Judgement::Improvement => {
                format!("Improvement: B is better in {better}, and worse in nothing.")
            }
            Judgement::NoDifference => {
                "No difference between A and B that is both significant and large enough to matter."
                    .to_owned()
            }
        }
    }

    fn method_text(&self) -> String {
        let options = &self.options;
        format!(
            "Intervals: {:.0} %, {METHOD}; {} replicates, blocks of {} and {}. It matters: more than {} of A, and {} for times or {} for failures.",
            options.confidence * 100.0,
            options.replicates,
            format::length(self.a.block),
            format::length(self.b.block),
            format::percent(options.threshold_ratio),
            format::time(options.threshold_abs.as_secs_f64() * 1e6),
            format::percent(options.threshold_failures),
        )
    }
}

fn endpoint_text(name: Option<&EndpointName>) -> String {
    name.map_or_else(|| "Total".to_owned(), |name| format!("{} {}", name.method, name.name))
}

fn figure_text(figure: Figure) -> &'static str {
    match figure {
        Figure::RequestsPerS => "requests/s",
        Figure::FailureRatio => "failures",
        Figure::Mean => "mean",
        Figure::P50 => "p50",
        Figure::P95 => "p95",
        Figure::P99 => "p99",
    }
}

fn value_text(figure: Figure, value: f64) -> String {
    match figure {
        Figure::RequestsPerS => format::rate(value),
        Figure::FailureRatio => format::percent(value),
        Figure::Mean | Figure::P50 | Figure::P95 | Figure::P99 => format::time(value * 1e3),
    }
}

fn signed(figure: Figure, value: f64) -> String {
    let sign = match value {
        v if v > 0.0 => "+",
        v if v < 0.0 => "-",
        _ => "",
    };
    format!("{sign}{}", value_text(figure, value.abs()))
}

fn p_text(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

fn table(rows: &[Row], options: &CompareOptions) -> String {
    let interval = format!("{:.0} % CI of the difference", options.confidence * 100.0);
    let columns = ["A", "B", "difference", "ratio", interval.as_str(), "p (Holm)"];
    let mut table = Table::new(&["figure"], &columns).text_column("result");
    for row in rows {
        let figure = row.figure;
        let result = match (row.judgement, row.significant, row.p_value) {
            (Judgement::Regression, ..) => "REGRESSION",
            (Judgement::Improvement, ..) => "improvement",
            (_, true, _) => "significant, too small to matter",
            (_, _, None) => "too few requests to judge",
            _ => "no difference",
        };
        table.row([
            figure_text(figure).to_owned(),
            value_text(figure, row.a),
            value_text(figure, row.b),
            signed(figure, row.difference()),
            row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
            format!("{} … {}", signed(figure, row.ci.low), signed(figure, row.ci.high)),
            row.p_adjusted.map_or_else(|| "-".to_owned(), p_text),
            result.to_owned(),
        ]);
    }
    table.render()
}

fn side_json(side: &Side) -> Value {
    json!({
        "host": side.host,
        "started-unix-ms": side.started_unix_ms,
        "seconds": rounded(side.seconds, 3),
        "requests": side.requests,
        "block-s": rounded(side.block, 3),
    })
}

fn names_json(names: &[EndpointName]) -> Value {
    names.iter().map(|name| json!({ "name": name.name, "method": name.method })).collect()
}

fn row_json(row: &Row) -> Value {
    let name = row.endpoint.as_ref();
    let number = |value: f64| rounded(value, 6);
    json!({
        "name": name.map_or("Total", |name| name.name.as_str()),
        "method": name.map_or("", |name| name.method.as_str()),
        "figure": row.figure.name(),
        "a": number(row.a),
        "b": number(row.b),
        "difference": number(row.difference()),
        "ratio": row.ratio().map(number),
        "ci": [number(row.ci.low), number(row.ci.high)],
        "p-value": row.p_value.map(number),
        "p-adjusted": row.p_adjusted.map(number),
        "significant": row.significant,
        "verdict": row.judgement.name(),
    })
}
