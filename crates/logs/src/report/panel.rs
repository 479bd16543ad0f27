//! The panels of a report.

use std::ops::{Index, IndexMut};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Row;

macro_rules! panels {
    ($($(#[$doc:meta])* $name:ident $key:literal $title:literal,)*) => {
        /// A panel: what its rows are about. Rows stand by hits, most first, unless said otherwise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Panel { $($(#[$doc])* $name,)* }

        impl Panel {
            /// Every panel, in the order of a report.
            pub const ALL: [Panel; [$($key),*].len()] = [$(Panel::$name),*];

            /// Its name in JSON and on the command line.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self { $(Panel::$name => $key,)* }
            }

            /// Its title for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Panel::$name => $title,)* }
            }
        }
    };
}

panels! {
    /// Status codes: `200`.
    Status "status" "Status codes",
    /// Request methods: `GET`.
    Method "method" "Methods",
    /// Protocols: `HTTP/1.1`.
    Protocol "protocol" "Protocols",
    /// Virtual hosts.
    Host "host" "Virtual hosts",
    /// Paths without query, static files and 404 included; [`Row::is_static`] marks static files.
    Path "path" "Paths",
    /// Path templates: `/user/{id}`.
    Template "template" "Path templates",
    /// Paths of static files only.
    Static "static" "Static files",
    /// Paths of requests answered with 404.
    NotFound "not-found" "Not found",
    /// Client addresses or host names.
    Client "client" "Clients",
    /// Authenticated users.
    User "user" "Users",
    /// Hours of the day, `00` to `23`, in the log's zone; by hour, all 24 of them once there is a hit.
    Hour "hour" "Hours of the day",
    /// Weekday and hour, `Mon 00` to `Sun 23`, in the log's zone; by time, those with hits.
    WeekdayHour "weekday-hour" "Weekdays and hours",
    /// Dates, `2026-01-31`, in the log's zone; by date, those with hits.
    Day "day" "Days",
    /// `User-Agent` values.
    Agent "agent" "User agents",
    /// Browsers and other kinds of software; crawlers together as `Crawlers`.
    Browser "browser" "Browsers",
    /// Operating systems.
    Os "os" "Operating systems",
    /// Crawlers by name, with [`Row::operator`] and [`Row::ai`].
    Crawler "crawler" "Crawlers",
    /// `Referer` values.
    Referrer "referrer" "Referrers",
    /// Hosts of referrers.
    ReferringSite "referring-site" "Referring sites",
    /// What a cache did, in lower case: `hit`.
    Cache "cache" "Cache",
    /// TLS versions.
    Tls "tls" "TLS",
    /// Media types of responses, without parameters.
    Mime "mime" "Media types",
    /// Servers that answered, with [`Row::peak_concurrency`]; latency is that of the upstream where logged.
    Upstream "upstream" "Upstream servers",
    /// Routes of a gateway.
    Route "route" "Routes",
    /// Variants of experiments: `checkout=new`; a request with several counts in each.
    Variant "variant" "Variants",
    /// Country codes.
    Country "country" "Countries",
}

/// The rows of every panel: `report.panels[Panel::Status]`. In JSON an object of arrays, one for every
/// panel, empty or not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Panels {
    rows: [Vec<Row>; Panel::ALL.len()],
    distinct: [u64; Panel::ALL.len()],
}

impl Panels {
    /// How many rows the panel has in all; more than are listed when
    /// [`Options::rows`](super::Options::rows) cut it.
    #[must_use]
    pub fn distinct(&self, panel: Panel) -> u64 {
        self.distinct[panel as usize]
    }

    /// Every panel with its rows, in the order of [`Panel::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Panel, &[Row])> {
        Panel::ALL.into_iter().map(|panel| (panel, self[panel].as_slice()))
    }

    pub(super) fn set(&mut self, panel: Panel, rows: Vec<Row>, distinct: u64) {
        self[panel] = rows;
        self.distinct[panel as usize] = distinct;
    }
}

impl Index<Panel> for Panels {
    type Output = Vec<Row>;
    fn index(&self, panel: Panel) -> &Vec<Row> {
        &self.rows[panel as usize]
    }
}

impl IndexMut<Panel> for Panels {
    fn index_mut(&mut self, panel: Panel) -> &mut Vec<Row> {
        &mut self.rows[panel as usize]
    }
}

impl Serialize for Panels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Panel::ALL.len()))?;
        for (panel, rows) in self.iter() {
            map.serialize_entry(panel.key(), rows)?;
        }
        map.end()
    }
}
