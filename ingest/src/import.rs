//! Backfill of history from a CSV or Parquet file, by the same path as live batches.
//!
//! The file's rows become batches of a stream named by the file's content and the vehicle, so a
//! second import of the same file finds every sequence in the lake and adds nothing. Columns are
//! named as in `readings`; `ts` is RFC 3339 or seconds, milliseconds or microseconds since 1970.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType},
};
use lake::{Lake, LakeSettings};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use service::SharedClock;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    batch::{Batch, ClockState, Column, Group, Table, Values},
    catalog::{Catalog, ColumnDef, ValueKind},
    catalogue::{self, VSS_RELEASE},
    ids::{BootId, StreamId, VehicleId},
    readings::{COLUMNS, ReadingKind, column_by_name},
    time::Timestamp,
};

use crate::{
    commit::{Committer, CommitterError},
    verify::Verified,
};

/// Rows of one batch: also the unit that a repeated import recognises.
const BATCH_ROWS: usize = 1000;
/// Batches of one commit.
const COMMIT_BATCHES: usize = 200;
/// Faults told at once.
const FAULTS_MAX: usize = 10;

/// Why a file cannot be imported. Nothing of it has been stored.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither CSV nor Parquet by its name.
    #[error("{path} is neither .csv nor .parquet by its name")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// Its columns or values are not those of `readings`; one line a fault.
    #[error("{path} cannot be imported:{}", .faults.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and what.
        faults: Vec<String>,
    },
    /// The lake.
    #[error("cannot write to the lake")]
    Lake(#[from] lake::OpenLakeError),
    /// An admin command must be alone with the lake.
    #[error("cannot write to the lake")]
    Lock(#[from] lake::store::LockError),
    /// The catalogue of its columns cannot be stored.
    #[error("cannot write to the lake")]
    Catalog(#[from] lake::catalogs::CatalogStoreError),
    /// The lake refused.
    #[error("cannot write to the lake")]
    Commit(#[from] CommitterError),
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Rows of the file.
    pub row_count: usize,
    /// Values written.
    pub samples_stored: u64,
    /// Values that were there already.
    pub samples_duplicate: u64,
}

/// A row of the file: its time and one value a column of `readings`.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    ts: Timestamp,
    values: Vec<Option<f64>>,
}

/// A file's rows and which columns of [`COLUMNS`] they have.
#[derive(Debug)]
struct Parsed {
    columns: Vec<usize>,
    rows: Vec<Row>,
}

/// Imports a file for a vehicle. `progress` is told rows done and rows in all.
pub async fn import(
    lake: &LakeSettings,
    vehicle_id: &VehicleId,
    file: &Path,
    clock: SharedClock,
    mut progress: impl FnMut(usize, usize),
) -> Result<Imported, ImportError> {
    let bytes = fs::read(file).map_err(|source| ImportError::Read { path: file.to_owned(), source })?;
    let parsed = parse(file, &bytes)?;
    let lake = Lake::create_at(lake).await?;
    let _lock = lake.lock_as_writer()?;
    let catalog = catalog(&parsed.columns);
    let encoded = catalog.encode();
    let catalog_hash = lake.put_catalog(&encoded).await?;
    let catalog = Arc::new(catalog);
    let stream_id = StreamId::of_source(vehicle_id, &Sha256::digest(&bytes));
    let app_id = format!("import/{stream_id}");
    let mut committer = Committer::open(&lake, app_id, clock.clone()).await?;

    let total = parsed.rows.len();
    let mut done = Imported { row_count: total, samples_stored: 0, samples_duplicate: 0 };
    let stop = CancellationToken::new();
    for (i, rows) in parsed.rows.chunks(BATCH_ROWS).enumerate() {
        let batch = Batch {
            vehicle_id: vehicle_id.clone(),
            boot_id: BootId(Uuid::nil()),
            stream_id,
            sequence: i as u64 + 1,
            oldest_sequence: 1,
            catalog_hash,
            base_time: rows.first().map_or(Timestamp(0), |r| r.ts),
            monotonic_base_us: 0,
            groups: vec![group(rows, &parsed.columns)],
            gaps: Vec::new(),
            clock: ClockState::Synchronized,
        };
        let received_at = Timestamp(clock.now_us());
        committer.accept(Verified { batch, catalog: Arc::clone(&catalog), received_at, payload_bytes: 0 });
        let rows_done = (i + 1) * BATCH_ROWS;
        if (i + 1) % COMMIT_BATCHES == 0 || rows_done >= total {
            let flushed = committer.flush(&stop).await?;
            done.samples_stored += flushed.samples_stored;
            done.samples_duplicate += flushed.samples_duplicate;
            progress(rows_done.min(total), total);
        }
    }
    Ok(done)
}

/// Column ids are indexes into [`COLUMNS`], values in the units of VSS.
fn catalog(columns: &[usize]) -> Catalog {
    let defs = columns.iter().filter_map(|&i| {
        let column = COLUMNS.get(i)?;
        Some(ColumnDef {
            column_id: u32::try_from(i).ok()?,
            table: Table::Readings,
            signal: column.signal.to_owned(),
            unit: catalogue::signal(column.signal).map_or("", |s| s.unit).to_owned(),
            scale: 1.0,
            offset: 0.0,
            kind: ValueKind::Number,
            labels: Vec::new(),
        })
    });
    Catalog { vss_release: VSS_RELEASE.to_owned(), columns: defs.collect() }
}

fn group(rows: &[Row], columns: &[usize]) -> Group {
    let base = rows.first().map_or(Timestamp(0), |r| r.ts);
    let made = columns.iter().enumerate().filter_map(|(place, &i)| {
        let scale = COLUMNS.get(i)?.scale;
        let cells = rows.iter().map(|r| r.values.get(place).copied().flatten());
        let present = cells.clone().map(|c| c.is_some()).collect();
        let values = Values::Number(cells.flatten().map(|x| x / scale).collect());
        Some(Column { column_id: u32::try_from(i).ok()?, present, values })
    });
    Group {
        table: Table::Readings,
        times_us: rows.iter().map(|r| r.ts.since_us(base)).collect(),
        columns: made.collect(),
    }
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Parsed, ImportError> {
    let extension = file.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
    let parsed = match extension.as_str() {
        "csv" => parse_csv(bytes),
        "parquet" => parse_parquet(bytes),
        _ => return Err(ImportError::Format { path: file.to_owned() }),
    };
    let mut parsed = parsed.map_err(|faults| ImportError::Content { path: file.to_owned(), faults })?;
    parsed.rows.sort_by_key(|r| r.ts);
    Ok(parsed)
}

/// Which columns of `readings` the header names, by place; `ts` is `None`.
fn places<'a>(header: impl Iterator<Item = &'a str>) -> Result<Vec<Option<usize>>, Vec<String>> {
    let mut faults = Vec::new();
    let mut places: Vec<Option<usize>> = Vec::new();
    let mut has_ts = false;
    for name in header {
        let name = name.trim();
        if name == "ts" {
            has_ts = true;
            places.push(None);
            continue;
        }
        match column_by_name(name) {
            Some(i) if places.contains(&Some(i)) => faults.push(format!("column {name:?} is there twice")),
            Some(i) => places.push(Some(i)),
            None => {
                let known: Vec<&str> = COLUMNS.iter().map(|c| c.name).collect();
                faults.push(format!(
                    "column {name:?} is no column of readings; known: ts, {}",
                    known.join(", ")
                ));
            }
        }
    }
    if !has_ts {
        faults.push("column \"ts\" is missing (RFC 3339, or seconds since 1970)".to_owned());
    }
    if faults.is_empty() { Ok(places) } else { Err(faults) }
}

fn parse_csv(bytes: &[u8]) -> Result<Parsed, Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|e| vec![e.to_string()])?.clone();
    let places = places(header.iter().map(|h| h.trim_start_matches('\u{feff}')))?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for record in reader.records() {
        if faults.len() >= FAULTS_MAX {
            break;
        }
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                match csv_row(&record, &places) {
                    Ok(row) => rows.push(row),
                    Err(what) => faults.push(format!("line {line}: {what}")),
                }
            }
            Err(error) => faults.push(error.to_string()),
        }
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push("there are no rows".to_owned());
    }
    let columns = places.into_iter().flatten().collect();
    if faults.is_empty() { Ok(Parsed { columns, rows }) } else { Err(faults) }
}

fn csv_row(record: &csv::StringRecord, places: &[Option<usize>]) -> Result<Row, String> {
    let mut row = Row { ts: Timestamp(0), values: Vec::new() };
    for (text, place) in record.iter().zip(places) {
        match place {
            None => row.ts = Timestamp::parse(text).map_err(|e| e.to_string())?,
            Some(i) => row.values.push(csv_value(text, *i)?),
        }
    }
    Ok(row)
}

fn csv_value(text: &str, column: usize) -> Result<Option<f64>, String> {
    let Some(column) = COLUMNS.get(column) else { return Ok(None) };
    let lower = text.to_lowercase();
    match (lower.as_str(), column.kind) {
        ("" | "null" | "nan", _) => Ok(None),
        ("true", ReadingKind::Boolean) => Ok(Some(1.0)),
        ("false", ReadingKind::Boolean) => Ok(Some(0.0)),
        (number, _) => match number.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Some(x)),
            _ => Err(format!(
                "{} = {text:?} is no {}",
                column.name,
                match column.kind {
                    ReadingKind::Number => "number",
                    ReadingKind::Boolean => "true, false, 1 or 0",
                }
            )),
        },
    }
}

fn parse_parquet(bytes: &[u8]) -> Result<Parsed, Vec<String>> {
    let one = |e: parquet::errors::ParquetError| vec![e.to_string()];
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(bytes)).map_err(one)?;
    let schema = Arc::clone(builder.schema());
    let places = places(schema.fields().iter().map(|f| f.name().as_str()))?;
    let mut rows = Vec::new();
    for batch in builder.build().map_err(one)? {
        let batch = batch.map_err(|e| vec![e.to_string()])?;
        let at = rows.len();
        rows.extend(parquet_rows(&batch, &places).map_err(|what| vec![format!("rows from {at}: {what}")])?);
    }
    if rows.is_empty() {
        return Err(vec!["there are no rows".to_owned()]);
    }
    Ok(Parsed { columns: places.into_iter().flatten().collect(), rows })
}

fn parquet_rows(batch: &RecordBatch, places: &[Option<usize>]) -> Result<Vec<Row>, String> {
    let n = batch.num_rows();
    let mut rows = vec![Row { ts: Timestamp(0), values: Vec::new() }; n];
    for (column, place) in batch.columns().iter().zip(places) {
        match place {
            None => {
                for (row, ts) in rows.iter_mut().zip(parquet_times(column)?) {
                    row.ts = ts;
                }
            }
            Some(_) => {
                let numbers = cast(column, &DataType::Float64).map_err(|e| e.to_string())?;
                let numbers = numbers.as_primitive::<Float64Type>();
                for (i, row) in rows.iter_mut().enumerate() {
                    let value = numbers.is_valid(i).then(|| numbers.value(i)).filter(|x| x.is_finite());
                    row.values.push(value);
                }
            }
        }
    }
    Ok(rows)
}

fn parquet_times(column: &arrow::array::ArrayRef) -> Result<Vec<Timestamp>, String> {
    if column.null_count() > 0 {
        return Err("ts has nulls".to_owned());
    }
    if matches!(column.data_type(), DataType::Timestamp(..)) {
        let us =
            cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).map_err(|e| e.to_string())?;
        return Ok(us
            .as_primitive::<TimestampMicrosecondType>()
            .values()
            .iter()
            .map(|&t| Timestamp(t))
            .collect());
    }
    let texts = cast(column, &DataType::Utf8).map_err(|e| e.to_string())?;
    texts
        .as_string::<i32>()
        .iter()
        .flatten()
        .map(|t| Timestamp::parse(t).map_err(|e| e.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_names_every_bad_line_and_column() {
        let faults = parse_csv(b"ts,speed_kmh,speed\n2021-01-01T00:00:00Z,1,2\n").unwrap_err();
        assert!(faults[0].contains("\"speed\"") && faults[0].contains("speed_kmh"), "{faults:?}");
        let faults = parse_csv(b"ts,speed_kmh\nnow,1\n1,fast\n").unwrap_err();
        assert!(faults[0].contains("line 2") && faults[1].contains("line 3"), "{faults:?}");
        assert!(parse_csv(b"speed_kmh\n1\n").unwrap_err()[0].contains("ts"));
        assert!(parse_csv(b"ts,speed_kmh\n").unwrap_err()[0].contains("no rows"));
    }

    #[test]
    fn rows_in_any_order_and_with_holes_are_read() {
        let parsed = parse_csv(b"ts,latitude,ignition_on\n1627274456,56.1,true\n1627274455.5,,0\n").unwrap();
        assert_eq!(parsed.rows[0].values, [Some(56.1), Some(1.0)]);
        assert_eq!(parsed.rows[1].values, [None, Some(0.0)]);
        assert_eq!(parsed.rows[1].ts, Timestamp(1_627_274_455_500_000));
    }
}
