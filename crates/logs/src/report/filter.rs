//! Which records count.

use foldhash::HashMap;
use ipnet::IpNet;
use regex::bytes::Regex;

use super::agent::{Class, classify};
use super::anonymise::address;
use super::filter_value::{Moment, Unit, is_meant_as_address, moment, network, ranges};
use crate::Record;

/// Conditions of one filter.
pub const CONDITIONS_MAX: usize = 64;
/// Agents of which is remembered whether they are bots.
const BOTS_MAX: usize = 100_000;

/// Conditions that must all hold. Each is a field, an operator and a value:
///
/// | form | meaning |
/// |---|---|
/// | `method=GET,HEAD`, `method!=POST` | the field is one of these texts, or none of them |
/// | `path~^/api/`, `agent!~(?i)bot` | a regular expression is found in the field, or is not |
/// | `status=404`, `status=5xx`, `status=400-499,503` | a number is one of these, or in one of these ranges |
/// | `duration>1s`, `bytes>=1MiB` | a number compares so; durations without a unit are seconds |
/// | `client=10.0.0.0/8,192.0.2.7` | the client's address is in one of these networks |
/// | `since=2026-01-31`, `until=2026-02-01T12:00:00Z` | from then on, before then; without a zone in the log's |
/// | `bots=no`, `bots=only` | without crawlers and monitors, or nothing else |
///
/// A field that a record does not have fits no text, expression or number, so `!=` and `!~` hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    conditions: Vec<Condition>,
    bots: HashMap<Vec<u8>, bool>,
}

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It has no operator.
    #[error(
        "`{0}` has no operator: write FIELD=VALUE, FIELD!=VALUE, FIELD~REGEX, FIELD!~REGEX or FIELD>VALUE"
    )]
    NoOperator(String),
    /// There is no such field.
    #[error("there is no field `{field}`; {}", instead(*nearest))]
    UnknownField {
        /// What was written.
        field: String,
        /// The field whose name is near, if one is.
        nearest: Option<&'static str>,
    },
    /// No record can be both from one time on and before another.
    #[error("since={since} is not before until={until}: no record can be between them")]
    NoTime {
        /// The later one, as written.
        since: String,
        /// The earlier one, as written.
        until: String,
    },
    /// The field cannot be compared so.
    #[error("`{field}` cannot be compared with `{operator}`")]
    BadOperator {
        /// The field.
        field: &'static str,
        /// The operator.
        operator: &'static str,
    },
    /// The value is not of the field's kind.
    #[error("`{value}` is no value for `{field}`: {expected}")]
    BadValue {
        /// The field.
        field: &'static str,
        /// What was written.
        value: String,
        /// What is wrong, or what to write.
        expected: String,
    },
    /// There are more than [`CONDITIONS_MAX`].
    #[error("there are more than {CONDITIONS_MAX} conditions")]
    TooMany,
}

#[derive(Debug, Clone)]
struct Condition {
    test: Test,
    negated: bool,
}

#[derive(Debug, Clone)]
enum Test {
    OneOf(TextField, Vec<Vec<u8>>),
    Matches(TextField, Regex),
    Within(NumberField, Vec<(u64, u64)>),
    From(Vec<IpNet>),
    Since(Moment),
    Bot,
}

type TextField = for<'a> fn(&Record<'a>) -> Option<&'a [u8]>;
type NumberField = fn(&Record<'_>) -> Option<u64>;

#[derive(Clone, Copy)]
enum Field {
    Text(TextField),
    Number(NumberField, Unit),
    Client,
    Since,
    Until,
    Bots,
}

/// Every field by name.
const FIELDS: &[(&str, Field)] = &[
    ("client", Field::Client),
    ("status", Field::Number(|record| record.status.map(u64::from), Unit::Status)),
    ("method", Field::Text(|record| record.method)),
    ("path", Field::Text(|record| record.target.map(super::path::path_of))),
    ("target", Field::Text(|record| record.target)),
    ("host", Field::Text(|record| record.host)),
    ("protocol", Field::Text(|record| record.protocol)),
    ("user", Field::Text(|record| record.user)),
    ("agent", Field::Text(|record| record.agent)),
    ("referrer", Field::Text(|record| record.referrer)),
    ("bytes", Field::Number(|record| record.bytes, Unit::Bytes)),
    ("request-bytes", Field::Number(|record| record.request_bytes, Unit::Bytes)),
    ("duration", Field::Number(|record| record.duration_us, Unit::Duration)),
    ("upstream-time", Field::Number(|record| record.upstream_us, Unit::Duration)),
    ("upstream", Field::Text(|record| record.upstream)),
    ("route", Field::Text(|record| record.route)),
    ("cache", Field::Text(|record| record.cache)),
    ("tls", Field::Text(|record| record.tls)),
    ("cipher", Field::Text(|record| record.cipher)),
    ("mime", Field::Text(|record| record.mime)),
    ("country", Field::Text(|record| record.country)),
    ("variants", Field::Text(|record| record.variants)),
    ("forwarded-for", Field::Text(|record| record.forwarded_for)),
    ("since", Field::Since),
    ("until", Field::Until),
    ("bots", Field::Bots),
];

/// Every operator, long ones before their beginnings.
const OPERATORS: [&str; 8] = ["!=", "!~", ">=", "<=", "=", "~", ">", "<"];

impl Filter {
    /// Reads conditions, see [`Filter`]. None at all take every record.
    ///
    /// # Errors
    /// The first condition that is wrong, with what to write instead.
    pub fn parse<S: AsRef<str>>(
        conditions: impl IntoIterator<Item = S>,
    ) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        let mut times: Vec<(Moment, bool, String)> = Vec::new();
        for text in conditions {
            if filter.conditions.len() >= CONDITIONS_MAX {
                return Err(FilterError::TooMany);
            }
            let text = text.as_ref();
            let condition = condition(text)?;
            if let Test::Since(moment) = condition.test {
                let value = text.split_once('=').map_or("", |(_, value)| value.trim());
                times.push((moment, condition.negated, value.to_owned()));
            }
            filter.conditions.push(condition);
        }
        for (since, _, begin) in times.iter().filter(|time| !time.1) {
            let over = |until: &Moment| until.is_before_or_at(*since);
            if let Some((_, _, end)) = times.iter().find(|time| time.1 && over(&time.0)) {
                return Err(FilterError::NoTime { since: begin.clone(), until: end.clone() });
            }
        }
        Ok(filter)
    }

    /// Whether there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether `record` counts.
    #[inline]
    pub fn accepts(&mut self, record: &Record<'_>) -> bool {
        let bots = &mut self.bots;
        self.conditions
            .iter()
            .all(|condition| condition.test.holds(record, bots) != condition.negated)
    }
}

impl Test {
    fn holds(&self, record: &Record<'_>, bots: &mut HashMap<Vec<u8>, bool>) -> bool {
        match self {
            Test::OneOf(field, texts) => {
                field(record).is_some_and(|value| texts.iter().any(|text| text == value))
            }
            Test::Matches(field, regex) => field(record).is_some_and(|value| regex.is_match(value)),
            Test::Within(field, ranges) => field(record).is_some_and(|value| {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&value))
            }),
            Test::From(networks) => address(record.client)
                .is_some_and(|ip| networks.iter().any(|network| network.contains(&ip))),
            Test::Since(moment) => moment.is_reached(record),
            Test::Bot => record.agent.is_some_and(|agent| is_bot(agent, bots)),
        }
    }
}

fn is_bot(agent: &[u8], known: &mut HashMap<Vec<u8>, bool>) -> bool {
    if let Some(is_bot) = known.get(agent) {
        return *is_bot;
    }
    let is_bot = matches!(classify(agent).class, Class::Crawler | Class::Monitor);
    if known.len() < BOTS_MAX {
        known.insert(agent.to_vec(), is_bot);
    }
    is_bot
}

fn condition(text: &str) -> Result<Condition, FilterError> {
    let no_operator = || FilterError::NoOperator(text.to_owned());
    let at = text.find(['=', '~', '!', '<', '>']).ok_or_else(no_operator)?;
    let (name, rest) = text.split_at(at);
    let operator =
        OPERATORS.into_iter().find(|known| rest.starts_with(known)).ok_or_else(no_operator)?;
    let (name, value) = (name.trim(), rest[operator.len()..].trim());
    let Some((field, kind)) = FIELDS.iter().find(|(known, _)| *known == name).copied() else {
        return Err(FilterError::UnknownField { field: name.to_owned(), nearest: nearest(name) });
    };
    let negated = operator.starts_with('!');
    let bad_operator = FilterError::BadOperator { field, operator };
    let bad_value =
        |expected: String| FilterError::BadValue { field, value: value.to_owned(), expected };
    let (test, negated) = match (kind, operator) {
        (Field::Text(of), "=" | "!=") => {
            (Test::OneOf(of, value.split(',').map(|text| text.trim().into()).collect()), negated)
        }
        (Field::Text(of), "~" | "!~") => {
            (Test::Matches(of, regex(value).map_err(bad_value)?), negated)
        }
        (Field::Client, "~" | "!~") => {
            (Test::Matches(|record| Some(record.client), regex(value).map_err(bad_value)?), negated)
        }
        (Field::Client, "=" | "!=") => {
            let networks: Result<Vec<_>, _> = value.split(',').map(network).collect();
            match networks {
                Ok(networks) => (Test::From(networks), negated),
                // Logs may have host names in place of addresses.
                Err(expected)
                    if value.contains('/')
                        || value.split(',').any(|part| is_meant_as_address(part.trim())) =>
                {
                    return Err(bad_value(expected));
                }
                Err(_) => {
                    let names = value.split(',').map(|text| text.trim().into()).collect();
                    (Test::OneOf(|record| Some(record.client), names), negated)
                }
            }
        }
        (Field::Number(of, unit), "=" | "!=" | ">" | ">=" | "<" | "<=") => {
            (Test::Within(of, ranges(operator, value, unit).map_err(bad_value)?), negated)
        }
        (Field::Since, "=") => (Test::Since(moment(value).map_err(bad_value)?), false),
        (Field::Until, "=") => (Test::Since(moment(value).map_err(bad_value)?), true),
        (Field::Bots, "=") => match value {
            "no" => (Test::Bot, true),
            "only" => (Test::Bot, false),
            _ => return Err(bad_value("write `no` or `only`".to_owned())),
        },
        _ => return Err(bad_operator),
    };
    Ok(Condition { test, negated })
}

fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}

/// What to write for a field that is none.
fn instead(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => {
            let names: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
            format!("there are {}", names.join(", "))
        }
    }
}

/// The field whose name takes the fewest changes of one letter to become from `name`, if they are few.
fn nearest(name: &str) -> Option<&'static str> {
    if matches!(name, "time" | "date" | "from") {
        return Some("since");
    }
    let distance = |known: &str| {
        let mut row: Vec<usize> = (0..=known.len()).collect();
        for (i, a) in name.bytes().take(32).enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, b) in known.bytes().enumerate() {
                let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
                diagonal = row[j + 1];
                row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
            }
        }
        row[known.len()]
    };
    let names = FIELDS.iter().map(|(known, _)| *known);
    names.min_by_key(|known| distance(known)).filter(|known| distance(known) <= name.len() / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(condition: &str, record: &Record<'_>) -> bool {
        Filter::parse([condition]).unwrap().accepts(record)
    }

    const RECORD: Record<'static> = Record {
        time_us: 1_700_000_000_000_000, // 2023-11-14T22:13:20Z
        offset_min: 120,
        time_is_end: false,
        client: b"10.1.2.3",
        user: None,
        host: None,
        method: Some(b"GET"),
        target: Some(b"/api/users?id=7"),
        protocol: None,
        status: Some(503),
        bytes: Some(2_000_000),
        request_bytes: None,
        referrer: None,
        agent: Some(b"Mozilla/5.0 (compatible; bingbot/2.0)"),
        forwarded_for: None,
        duration_us: Some(1_500_000),
        upstream_us: None,
        upstream: None,
        cache: None,
        tls: None,
        cipher: None,
        mime: None,
        country: None,
        route: None,
        variants: None,
        weight: 1,
    };

    #[test]
    fn conditions_that_hold() {
        for condition in [
            "status=5xx",
            "status=500-599",
            "status=404,503",
            "status!=4xx",
            "status>=500",
            "status<504",
            "path~^/api/",
            "path=/api/users",
            "path!~admin",
            "target~id=7",
            "method=GET,HEAD",
            "client=10.0.0.0/8",
            "client!=192.0.2.0/24",
            "client~^10",
            "duration>1s",
            "duration<=1500ms",
            "duration=1-2",
            "bytes>1MiB",
            "host!=x",
            "since=2023-11-14",
            "until=2023-11-15T00:14",
            "since=2023-11-14T22:13:20Z",
            "bots=only",
            "agent~(?i)BINGBOT",
        ] {
            assert!(takes(condition, &RECORD), "{condition}");
        }
    }

    #[test]
    fn conditions_that_do_not() {
        for condition in [
            "status=4xx",
            "status!=503",
            "path~^/shop",
            "client=192.0.2.7",
            "duration>1.5s",
            "bytes<1MB",
            "host=x",
            "since=2023-11-15T01:00",
            "until=2023-11-15T00:13",
            "bots=no",
            "client=host.example",
        ] {
            assert!(!takes(condition, &RECORD), "{condition}");
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let mut filter = Filter::parse(["status=5xx", "method=POST"]).unwrap();
        assert!(!filter.accepts(&RECORD));
        assert!(Filter::default().accepts(&RECORD));
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = |text: &str| Filter::parse([text]).unwrap_err().to_string();
        assert_eq!(error("statsu=200"), "there is no field `statsu`; did you mean `status`?");
        assert!(error("status").contains("no operator"));
        assert!(error("bots=maybe").contains("`no` or `only`"));
        assert!(error("path~(").contains("no value for `path`"));
        assert!(error("method>GET").contains("cannot be compared"));
        assert!(error("client=10.0.0.0/99").contains("network"));
        assert!(error("duration>soon").contains("`duration`"));
        assert!(error("since=yesterday").contains("RFC 3339"));
        assert!(error("time>12:00").contains("did you mean `since`?"));
        assert!(error("foo=1").contains("there are client, status"));
        for value in ["300.1.1.1", "203.0.113.*", "203.0.113", "a.example,300.1.1.1"] {
            assert!(error(&format!("client={value}")).contains("write an address"), "{value}");
        }
    }

    #[test]
    fn addresses_that_are_mapped_to_ipv6() {
        for condition in ["client=::ffff:10.1.2.3", "client=::ffff:10.0.0.0/104", "client=10.1.2.3"]
        {
            assert!(takes(condition, &RECORD), "{condition}");
            let mapped = Record { client: b"::ffff:10.1.2.3", ..RECORD };
            assert!(takes(condition, &mapped), "{condition}");
        }
        assert!(takes("client=web1.example,web2", &Record { client: b"web2", ..RECORD }));
    }

    #[test]
    fn times_between_which_nothing_is() {
        let parse = |conditions: [&str; 2]| Filter::parse(conditions).map(|_| ());
        assert!(parse(["since=2026-10-10", "until=2026-10-11"]).is_ok());
        assert!(parse(["since=2026-10-10", "until=2026-10-09T12:00:00Z"]).is_ok());
        for conditions in [
            ["since=2026-10-11", "until=2026-10-10"],
            ["until=2026-10-10T12:00:00Z", "since=2026-10-10T12:00:00Z"],
        ] {
            let error = parse(conditions).unwrap_err().to_string();
            assert!(error.contains("no record can be between"), "{error}");
        }
    }
}
