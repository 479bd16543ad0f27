//! Rows of data for templates, read once from CSV or JSON lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngExt;

use crate::rng::UserRng;

/// Largest data file that is read, in bytes.
pub const DATA_BYTES_MAX: u64 = 256 << 20;

/// How rows are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pick {
    /// In the order of the file, from the start again after the end; shared by all users.
    #[default]
    Sequential,
    /// Any row, with replacement.
    Random,
    /// Each row at most once in the run. A user that needs a row when none is left stops.
    EachOnce,
}

/// How long a drawn row is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Per {
    /// A new row for each run of a task.
    #[default]
    Iteration,
    /// One row per virtual user, kept as long as it lives.
    User,
}

/// The format of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// One JSON object a line; the first line names the columns.
    JsonLines,
}

/// Why a data file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than [`DATA_BYTES_MAX`].
    #[error("{} is larger than {} MiB", path.display(), DATA_BYTES_MAX >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is not what the format says.
    #[error("{} line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no row.
    #[error("{} holds no row", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A column of a data source, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataColumn {
    /// Index of the source in the scenario.
    pub source: usize,
    /// Index of the column in the source.
    pub column: usize,
}

/// One data source: a table of texts, and how its rows are drawn.
#[derive(Debug)]
pub struct DataSource {
    /// The name that templates use.
    pub name: String,
    /// Column names.
    pub columns: Vec<String>,
    /// How rows are drawn.
    pub pick: Pick,
    /// How long a row is kept.
    pub per: Per,
    /// Row-major cells.
    cells: Vec<String>,
    /// Number of the next row, for the kinds of picks that go through the file in order.
    next: AtomicUsize,
}

/// No row is left to draw.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("data `{name}` ran out after {rows} rows")]
pub struct Exhausted {
    /// The source.
    pub name: String,
    /// How many rows it had.
    pub rows: usize,
}

impl DataSource {
    /// A source from rows in memory; each row has one cell per column.
    pub fn from_rows(
        name: &str,
        columns: Vec<String>,
        rows: Vec<Vec<String>>,
        pick: Pick,
        per: Per,
    ) -> DataSource {
        let cells = rows.into_iter().flatten().collect();
        DataSource { name: name.to_owned(), columns, pick, per, cells, next: AtomicUsize::new(0) }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`DataError`] when the file cannot be read, is too large, is malformed or has no row.
    pub fn read(
        name: &str,
        path: &Path,
        format: DataFormat,
        pick: Pick,
        per: Per,
    ) -> Result<DataSource, DataError> {
        let read_error = |source| DataError::Read { path: path.to_owned(), source };
        let len = std::fs::metadata(path).map_err(read_error)?.len();
        if len > DATA_BYTES_MAX {
            return Err(DataError::TooLarge { path: path.to_owned() });
        }
        let bytes = std::fs::read(path).map_err(read_error)?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let (columns, rows) = match format {
            DataFormat::Csv => read_csv(bytes),
            DataFormat::JsonLines => read_json_lines(bytes),
        }
        .map_err(|(line, problem)| DataError::Line {
            path: path.to_owned(),
            line,
            problem,
        })?;
        if rows.is_empty() {
            return Err(DataError::Empty { path: path.to_owned() });
        }
        Ok(DataSource::from_rows(name, columns, rows, pick, per))
    }

    /// Starts again at the first row, as every run does.
    pub(crate) fn rewind(&self) {
        self.next.store(0, Ordering::Relaxed);
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.cells.len() / self.columns.len().max(1)
    }

    fn draw(&self, rng: &mut UserRng) -> Result<usize, Exhausted> {
        let rows = self.rows();
        match self.pick {
            Pick::Random => Ok(rng.random_range(0..rows)),
            Pick::Sequential => Ok(self.next.fetch_add(1, Ordering::Relaxed) % rows),
            Pick::EachOnce => {
                let row = self.next.fetch_add(1, Ordering::Relaxed);
                if row < rows { Ok(row) } else { Err(Exhausted { name: self.name.clone(), rows }) }
            }
        }
    }
}

type Table = (Vec<String>, Vec<Vec<String>>);

fn read_csv(bytes: &[u8]) -> Result<Table, (u64, String)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(bytes);
    let at =
        |error: csv::Error| (error.position().map_or(1, csv::Position::line), error.to_string());
    let columns = reader.headers().map_err(at)?.iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|record| record.map(|record| record.iter().map(str::to_owned).collect()).map_err(at))
        .collect::<Result<_, _>>()?;
    Ok((columns, rows))
}

fn read_json_lines(bytes: &[u8]) -> Result<Table, (u64, String)> {
    let mut columns: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(line).map_err(|error| (number, error.to_string()))?;
        if rows.is_empty() {
            columns = object.keys().cloned().collect();
        }
        let row = columns
            .iter()
            .map(|column| match object.get(column) {
                Some(serde_json::Value::String(text)) => Ok(text.clone()),
                Some(value) => Ok(value.to_string()),
                None => Err((number, format!("`{column}` is missing"))),
            })
            .collect::<Result<_, _>>()?;
        rows.push(row);
    }
    Ok((columns, rows))
}

/// The rows that a user currently holds, one per source.
#[derive(Debug, Clone)]
pub struct DataRows {
    sources: Arc<[DataSource]>,
    held: Vec<Option<usize>>,
}

impl DataRows {
    /// No row held yet.
    pub fn new(sources: Arc<[DataSource]>) -> DataRows {
        let held = vec![None; sources.len()];
        DataRows { sources, held }
    }

    /// Draws a row of `source`, unless the user keeps the one it has.
    ///
    /// # Errors
    /// [`Exhausted`] when each row was to be used once and none is left.
    pub fn draw(&mut self, source: usize, rng: &mut UserRng) -> Result<(), Exhausted> {
        let table = &self.sources[source];
        if table.per == Per::Iteration || self.held[source].is_none() {
            self.held[source] = Some(table.draw(rng)?);
        }
        Ok(())
    }

    /// The cell of the held row; empty when none has been drawn.
    pub fn get(&self, column: DataColumn) -> &str {
        let table = &self.sources[column.source];
        self.held[column.source]
            .and_then(|row| table.cells.get(row * table.columns.len() + column.column))
            .map_or("", String::as_str)
    }

    #[cfg(test)]
    pub(crate) fn of_test(rows: Vec<Vec<String>>) -> DataRows {
        let columns = vec![String::new(); rows[0].len()];
        let source = DataSource::from_rows("test", columns, rows, Pick::Sequential, Per::User);
        DataRows { sources: Arc::new([source]), held: vec![Some(0)] }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rows_of(pick: Pick, per: Per) -> DataRows {
        let rows = ["a", "b", "c"].map(|cell| vec![cell.to_owned()]).to_vec();
        let source = DataSource::from_rows("t", vec!["x".to_owned()], rows, pick, per);
        DataRows::new(Arc::new([source]))
    }

    fn draws(rows: &mut DataRows, n: usize) -> Vec<Result<String, Exhausted>> {
        let mut rng = UserRng::seed_from_u64(5);
        (0..n)
            .map(|_| {
                rows.draw(0, &mut rng)?;
                Ok(rows.get(DataColumn { source: 0, column: 0 }).to_owned())
            })
            .collect()
    }

    #[test]
    fn picks_go_through_the_rows_as_named() {
        let text = |result: &Result<String, Exhausted>| result.clone().unwrap_or("none".to_owned());
        let drawn =
            |pick, per, n| draws(&mut rows_of(pick, per), n).iter().map(text).collect::<Vec<_>>();
        assert_eq!(drawn(Pick::Sequential, Per::Iteration, 4), ["a", "b", "c", "a"]);
        assert_eq!(drawn(Pick::EachOnce, Per::Iteration, 4), ["a", "b", "c", "none"]);
        assert_eq!(drawn(Pick::EachOnce, Per::User, 4), ["a", "a", "a", "a"]);
        let random = drawn(Pick::Random, Per::Iteration, 100);
        assert!(["a", "b", "c"].iter().all(|cell| random.iter().any(|drawn| drawn == cell)));
    }

    #[test]
    fn files_are_read_or_named_as_broken() {
        let (columns, rows) = read_csv(b"name, password\nann,\"x,y\"\n").unwrap();
        assert_eq!(columns, ["name", "password"]);
        assert_eq!(rows, [["ann", "x,y"]]);
        assert_eq!(read_csv(b"a,b\n1\n").unwrap_err().0, 2);
        let (columns, rows) =
            read_json_lines(b"{\"a\":\"x\",\"b\":2}\n\n{\"b\":3,\"a\":\"y\"}").unwrap();
        assert_eq!(columns, ["a", "b"]);
        assert_eq!(rows, [["x", "2"], ["y", "3"]]);
        assert_eq!(
            read_json_lines(b"{\"a\":1}\n{}\n").unwrap_err(),
            (2, "`a` is missing".to_owned())
        );
    }
}
