//! Records as a Parquet file, for DuckDB, DataFusion, Spark or ClickHouse. The schema is that of
//! `docs/reference/logs-parquet.md`.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use logs::{Record, Reject, Sink};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError as WriteError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

/// Rows of one row group; each thread of a scan holds one.
pub const ROWS_MAX: usize = 128 << 10;

/// Bytes of text of one column of a row group, after which it is written before it has
/// [`ROWS_MAX`] rows.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// The file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the Parquet file: {0}")]
pub struct ParquetError(String);

impl From<WriteError> for ParquetError {
    fn from(error: WriteError) -> Self {
        Self(error.to_string())
    }
}

type Text = for<'a> fn(&Record<'a>) -> Option<&'a [u8]>;
type Number = fn(&Record<'_>) -> Option<i64>;

/// Where a column's values come from.
#[derive(Clone, Copy)]
enum Source {
    /// Text; bytes that are no UTF-8 become U+FFFD.
    Text(Text),
    /// A number of 64 bits.
    Long(Number),
    /// A number of 32 bits.
    Short(Number),
}

/// Name, type in the schema, source. All may be null: a log tells what it tells.
const COLUMNS: [(&str, &str, Source); 25] = [
    ("time", "int64 time (TIMESTAMP(MICROS,true))", Source::Long(|r| Some(r.time_us))),
    ("client", "binary client (STRING)", Source::Text(|r| Some(r.client))),
    ("user", "binary user (STRING)", Source::Text(|r| r.user)),
    ("host", "binary host (STRING)", Source::Text(|r| r.host)),
    ("method", "binary method (STRING)", Source::Text(|r| r.method)),
    ("target", "binary target (STRING)", Source::Text(|r| r.target)),
    ("protocol", "binary protocol (STRING)", Source::Text(|r| r.protocol)),
    ("status", "int32 status", Source::Short(|r| r.status.map(i64::from))),
    ("bytes", "int64 bytes", Source::Long(|r| long(r.bytes))),
    ("request_bytes", "int64 request_bytes", Source::Long(|r| long(r.request_bytes))),
    ("referrer", "binary referrer (STRING)", Source::Text(|r| r.referrer)),
    ("agent", "binary agent (STRING)", Source::Text(|r| r.agent)),
    ("forwarded_for", "binary forwarded_for (STRING)", Source::Text(|r| r.forwarded_for)),
    ("duration_us", "int64 duration_us", Source::Long(|r| long(r.duration_us))),
    ("upstream_us", "int64 upstream_us", Source::Long(|r| long(r.upstream_us))),
    ("upstream", "binary upstream (STRING)", Source::Text(|r| r.upstream)),
    ("cache", "binary cache (STRING)", Source::Text(|r| r.cache)),
    ("tls", "binary tls (STRING)", Source::Text(|r| r.tls)),
    ("cipher", "binary cipher (STRING)", Source::Text(|r| r.cipher)),
    ("mime", "binary mime (STRING)", Source::Text(|r| r.mime)),
    ("country", "binary country (STRING)", Source::Text(|r| r.country)),
    ("route", "binary route (STRING)", Source::Text(|r| r.route)),
    ("variants", "binary variants (STRING)", Source::Text(|r| r.variants)),
    ("zone_minutes", "int32 zone_minutes", Source::Short(|r| Some(i64::from(r.offset_min)))),
    ("requests", "int64 requests", Source::Long(|r| long(Some(r.weight)))),
];

fn long(value: Option<u64>) -> Option<i64> {
    value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}

/// A Parquet file that several threads write to, a row group at a time.
#[derive(Debug, Clone)]
pub struct ParquetFile {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    writer: SerializedFileWriter<File>,
    /// The first thing that went wrong; nothing is written after it.
    failed: Option<String>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl ParquetFile {
    /// Makes the file at `path`, replacing one that is there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self, ParquetError> {
        let file = File::create(path).map_err(|error| ParquetError(error.to_string()))?;
        let fields: String =
            COLUMNS.iter().map(|(_, field, _)| format!("optional {field}; ")).collect();
        let schema = parse_message_type(&format!("message hit {{ {fields} }}"))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_created_by(format!("tidegate {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { shared: Arc::new(Mutex::new(Shared { writer, failed: None })) })
    }

    /// A sink for one thread.
    #[must_use]
    pub fn sink(&self) -> ParquetSink {
        let columns = COLUMNS.map(|(.., from)| Column::new(from));
        ParquetSink { file: self.clone(), rows: 0, columns: Box::new(columns) }
    }

    /// Writes the file's end, once every sink has been dropped.
    ///
    /// # Errors
    /// The first thing that could not be written, now or before.
    pub fn finish(self) -> Result<(), ParquetError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.failed.take() {
            Some(failed) => Err(ParquetError(failed)),
            None => Ok(shared.writer.finish().map(|_| ())?),
        }
    }
}

/// Gathers rows and hands them to the file by groups; the last group when dropped.
#[derive(Debug)]
pub struct ParquetSink {
    file: ParquetFile,
    rows: usize,
    columns: Box<[Column; COLUMNS.len()]>,
}

impl ParquetSink {
    fn flush(&mut self) {
        if self.rows == 0 {
            return;
        }
        self.rows = 0;
        let mut shared = self.file.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.failed.is_none()
            && let Err(error) = write_group(&mut shared.writer, &mut self.columns[..])
        {
            shared.failed = Some(error.to_string());
        }
        drop(shared);
        self.columns.iter_mut().for_each(Column::clear);
    }
}

impl Sink for ParquetSink {
    fn record(&mut self, record: &Record<'_>) {
        let mut is_full = false;
        for column in self.columns.iter_mut() {
            column.push(record);
            is_full |= column.text.len() >= TEXT_BYTES_MAX;
        }
        self.rows += 1;
        if is_full || self.rows == ROWS_MAX {
            self.flush();
        }
    }

    fn reject(&mut self, _: &Reject<'_>) {}
}

impl Drop for ParquetSink {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The values of one column of a row group.
#[derive(Debug)]
struct Column {
    from: Source,
    /// 1 for each row that has a value, 0 for each that has none.
    levels: Vec<i16>,
    text: Vec<u8>,
    /// Where each text ends.
    ends: Vec<usize>,
    numbers: Vec<i64>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Long(_) => "Long",
            Self::Short(_) => "Short",
        })
    }
}

impl Column {
    fn new(from: Source) -> Self {
        let (levels, text, ends, numbers) = Default::default();
        Self { from, levels, text, ends, numbers }
    }

    fn push(&mut self, record: &Record<'_>) {
        let is_present = match self.from {
            Source::Text(get) => match get(record) {
                None => false,
                Some(text) => {
                    match std::str::from_utf8(text) {
                        Ok(_) => self.text.extend_from_slice(text),
                        Err(_) => {
                            self.text.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
                        }
                    }
                    self.ends.push(self.text.len());
                    true
                }
            },
            Source::Long(get) | Source::Short(get) => {
                let value = get(record);
                self.numbers.extend(value);
                value.is_some()
            }
        };
        self.levels.push(i16::from(is_present));
    }

    fn clear(&mut self) {
        self.levels.clear();
        self.text.clear();
        self.ends.clear();
        self.numbers.clear();
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), WriteError> {
        let levels = Some(self.levels.as_slice());
        match self.from {
            Source::Text(_) => {
                let text = Bytes::from(std::mem::take(&mut self.text));
                let begins = std::iter::once(&0).chain(&self.ends);
                let texts = begins.zip(&self.ends).map(|(begin, end)| text.slice(*begin..*end));
                let values: Vec<ByteArray> = texts.map(ByteArray::from).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, levels, None)?;
            }
            Source::Long(_) => {
                writer.typed::<Int64Type>().write_batch(&self.numbers, levels, None)?;
            }
            Source::Short(_) => {
                let values: Vec<i32> = self.numbers.iter().map(|value| *value as i32).collect();
                writer.typed::<Int32Type>().write_batch(&values, levels, None)?;
            }
        }
        Ok(())
    }
}

fn write_group(
    writer: &mut SerializedFileWriter<File>,
    columns: &mut [Column],
) -> Result<(), WriteError> {
    let mut group = writer.next_row_group()?;
    for column in columns {
        if let Some(mut writer) = group.next_column()? {
            column.write(&mut writer)?;
            writer.close()?;
        }
    }
    group.close()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::metadata::RowGroupMetaData;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    fn record(target: &'static [u8], status: u16) -> Record<'static> {
        Record {
            time_us: 1_700_000_000_000_000,
            client: b"192.0.2.1",
            target: Some(target),
            status: Some(status),
            weight: 1,
            ..Record::default()
        }
    }

    #[test]
    fn what_was_recorded_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.parquet");
        let file = ParquetFile::create(&path).unwrap();
        let mut first = file.sink();
        first.record(&record(b"/a", 200));
        first.record(&Record { target: None, ..record(b"", 404) });
        let mut second = file.sink();
        second.record(&record(b"/\xff", 500));
        drop(first);
        drop(second);
        file.finish().unwrap();

        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.num_row_groups(), 2);
        let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
        let schema = reader.metadata().file_metadata().schema_descr();
        let written: Vec<&str> = schema.columns().iter().map(|column| column.name()).collect();
        assert_eq!(written, names);
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].get_timestamp_micros(0).unwrap(), 1_700_000_000_000_000);
        assert_eq!(rows[0].get_string(5).unwrap(), "/a");
        assert!(rows[1].get_string(5).is_err(), "it is null");
        assert_eq!(rows[1].get_int(7).unwrap(), 404);
        assert_eq!(rows[2].get_string(5).unwrap(), "/\u{fffd}");
    }

    #[test]
    fn many_rows_make_several_groups() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.parquet");
        let file = ParquetFile::create(&path).unwrap();
        let mut sink = file.sink();
        for _ in 0..ROWS_MAX + 1 {
            sink.record(&record(b"/", 200));
        }
        drop(sink);
        file.finish().unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let metadata = reader.metadata();
        let rows: Vec<i64> = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
        assert_eq!(rows, [ROWS_MAX as i64, 1]);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told() {
        let error = ParquetFile::create(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write the Parquet file: "), "{error}");
    }
}
