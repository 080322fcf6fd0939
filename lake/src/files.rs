//! The files of a commit: the rows of each day as one Parquet file, and what the log says of it.
//!
//! They are written here and not by deltalake's `write`, whose query plan sorts all rows by their
//! partition and copies them once more (docs/performance.md). Rows of one day, which nearly all commits
//! are, go to the encoder as they came.

mod dictionary;

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Date32Array, RecordBatch},
    compute::{cast, filter_record_batch, kernels::cmp},
    datatypes::{DataType, Date32Type, Schema},
    error::ArrowError,
};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use deltalake::{
    DeltaTableError,
    kernel::{
        Action, Add,
        transaction::{CommitBuilder, CommitProperties, TableReference},
    },
    protocol::{DeltaOperation, SaveMode},
};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnWriter, ArrowWriterOptions, compute_leaves},
    },
    errors::ParquetError,
    file::{metadata::ParquetMetaData, statistics::Statistics, writer::SerializedFileWriter},
};
use serde_json::{Map, Value, json};

use crate::{
    schema::{PARTITION, TableKind},
    stored,
    table::LakeTable,
    writer::{self, Layout},
};

/// Above this a file goes to the store in parts.
const PART_BYTES: usize = 8 << 20;

/// A day's rows as they lie in a file.
struct File {
    date: String,
    bytes: Vec<u8>,
    stats: String,
}

impl LakeTable {
    /// Writes rows as files, one a day, that are part of nothing yet.
    pub(crate) async fn write_files(&self, rows: &RecordBatch) -> Result<Vec<Add>, DeltaTableError> {
        let kind = self.kind();
        let schema = self.files_schema()?;
        let rows = stored::to_stored(rows, &schema)?;
        // Encoding takes long enough to hold up what else runs on this thread.
        let encoded = tokio::task::spawn_blocking(move || {
            by_day(&rows)?
                .into_iter()
                .map(|(date, rows)| encode(kind, &schema, date, &rows))
                .collect::<Result<Vec<_>, _>>()
        });
        let files = encoded.await.map_err(|e| DeltaTableError::Generic(e.to_string()))??;
        let store = self.table.object_store();
        let mut adds = Vec::with_capacity(files.len());
        for file in files {
            adds.push(put(&store, file).await?);
        }
        // Before the log names them.
        self.sync_files(adds.iter().map(|add| add.path.clone()).collect()).await?;
        Ok(adds)
    }

    /// Commits appended files on the loaded snapshot.
    pub(crate) async fn commit_files(
        &mut self,
        adds: Vec<Add>,
        properties: CommitProperties,
    ) -> Result<(), DeltaTableError> {
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![PARTITION.to_owned()]),
            predicate: None,
        };
        let state = self.table.snapshot()?;
        let committed = CommitBuilder::from(properties)
            .with_actions(adds.into_iter().map(Action::Add).collect())
            .build(Some(state as &dyn TableReference), self.table.log_store(), operation)
            .await?;
        self.table.state = Some(committed.snapshot());
        self.sync_log().await
    }
}

/// The rows of each day, in their order, without the column that says it.
fn by_day(rows: &RecordBatch) -> Result<Vec<(String, RecordBatch)>, ArrowError> {
    let place = rows.schema().index_of(PARTITION)?;
    let mut rows = rows.clone();
    let dates = cast(&rows.remove_column(place), &DataType::Date32)?;
    let dates = dates.as_primitive::<Date32Type>();
    if dates.null_count() > 0 {
        return Err(ArrowError::InvalidArgumentError(format!("rows of no {PARTITION}")));
    }
    let mut days: Vec<i32> = dates.values().to_vec();
    days.dedup();
    days.sort_unstable();
    days.dedup();
    days.iter()
        .map(|&day| {
            let date = Date32Type::to_naive_date_opt(day)
                .ok_or_else(|| ArrowError::InvalidArgumentError(format!("{day} is no day")))?;
            let own = match days.len() {
                1 => rows.clone(),
                _ => filter_record_batch(&rows, &cmp::eq(dates, &Date32Array::new_scalar(day))?)?,
            };
            Ok((NaiveDate::to_string(&date), own))
        })
        .collect()
}

/// Encodes a day's rows. `files` is the schema of the table's files: a column it has and the rows lack is
/// left out of the file, which reads as null.
fn encode(
    kind: TableKind,
    files: &Schema,
    date: String,
    rows: &RecordBatch,
) -> Result<File, DeltaTableError> {
    let rows = as_in_files(rows, files)?;
    let properties = writer::properties(kind, Layout::Appended, files);
    let rows_max = properties.max_row_group_row_count().unwrap_or(usize::MAX).max(1);
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        // How rows lay in our memory (in dictionaries) is no matter of who reads the file.
        .with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let writer = ArrowWriter::try_new_with_options(&mut bytes, rows.schema(), options)?;
    let (mut writer, columns) = writer.into_serialized_writer()?;
    for (group, from) in (0..rows.num_rows()).step_by(rows_max).enumerate() {
        let of_group = rows.slice(from, rows_max.min(rows.num_rows() - from));
        row_group(&mut writer, columns.create_column_writers(group)?, &of_group)?;
    }
    let stats = stats(kind, files, &writer.close()?).to_string();
    Ok(File { date, bytes, stats })
}

/// Writes one row group: texts that come as keys by [`dictionary`], the rest by the `parquet` crate.
fn row_group(
    file: &mut SerializedFileWriter<&mut Vec<u8>>,
    writers: Vec<ArrowColumnWriter>,
    rows: &RecordBatch,
) -> Result<(), ParquetError> {
    let (descriptor, properties) = (file.schema_descr().clone(), Arc::clone(file.properties()));
    let mut group = file.next_row_group()?;
    let places = descriptor.columns().iter().zip(writers);
    for ((column, mut writer), (field, values)) in
        places.zip(rows.schema().fields().iter().zip(rows.columns()))
    {
        let is_required = column.max_def_level() == 0;
        if let Some(keyed) = dictionary::keyed(values).filter(|_| is_required) {
            let (bytes, close) = dictionary::chunk(column, &properties, keyed)?;
            group.append_column(&bytes, close)?;
            continue;
        }
        for leaf in compute_leaves(field, values)? {
            writer.write(&leaf)?;
        }
        writer.close()?.append_to_row_group(&mut group)?;
    }
    group.close().map(drop)
}

/// The columns in the order, the types and with the nullability of the files; texts may be dictionaries.
fn as_in_files(rows: &RecordBatch, files: &Schema) -> Result<RecordBatch, ArrowError> {
    for field in rows.schema().fields() {
        if files.field_with_name(field.name()).is_err() {
            let message = format!("the table has no column {:?}", field.name());
            return Err(ArrowError::SchemaError(message));
        }
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for field in files.fields().iter().filter(|field| field.name() != PARTITION) {
        let Some(column) = rows.column_by_name(field.name()) else {
            if field.is_nullable() {
                continue;
            }
            return Err(ArrowError::SchemaError(format!("rows lack the column {:?}", field.name())));
        };
        let column = match (column.data_type(), field.data_type()) {
            (DataType::Dictionary(_, value), to) if value.as_ref() == to => Arc::clone(column),
            (from, to) if from == to => Arc::clone(column),
            (_, to) => cast(column, to)?,
        };
        fields.push(Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone())));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// What the log says of a file: its rows, and least, greatest and missing values of the columns that files
/// are told apart by (Delta's protocol, "Per-file Statistics").
fn stats(kind: TableKind, files: &Schema, metadata: &ParquetMetaData) -> Value {
    let (mut least, mut greatest, mut missing) = (Map::new(), Map::new(), Map::new());
    for (place, column) in metadata.file_metadata().schema_descr().columns().iter().enumerate() {
        let name = column.name();
        let Ok(field) = files.field_with_name(name) else { continue };
        if !writer::pruning_columns(kind).contains(&name) {
            continue;
        }
        let groups: Option<Vec<&Statistics>> =
            metadata.row_groups().iter().map(|group| group.column(place).statistics()).collect();
        let Some(groups) = groups else { continue };
        if let Some(count) = groups.iter().map(|group| group.null_count_opt()).sum::<Option<u64>>() {
            missing.insert(name.to_owned(), json!(count));
        }
        if let Some((min, max)) = bounds(&groups, field.data_type()) {
            least.insert(name.to_owned(), min);
            greatest.insert(name.to_owned(), max);
        }
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": least,
        "maxValues": greatest,
        "nullCount": missing,
    })
}

/// Least and greatest value of a column over all row groups, as the log writes them; nothing when a
/// group does not tell, as one of nulls.
fn bounds(groups: &[&Statistics], of: &DataType) -> Option<(Value, Value)> {
    match of {
        DataType::Int64 | DataType::Timestamp(..) => {
            let mut all = Vec::with_capacity(groups.len());
            for group in groups {
                let Statistics::Int64(values) = group else { return None };
                all.push((*values.min_opt()?, *values.max_opt()?));
            }
            let (min, max) = (all.iter().map(|v| v.0).min()?, all.iter().map(|v| v.1).max()?);
            match of {
                DataType::Int64 => Some((json!(min), json!(max))),
                _ => Some((json!(to_milliseconds(min, 0)?), json!(to_milliseconds(max, 999)?))),
            }
        }
        DataType::Utf8 => {
            let mut all = Vec::with_capacity(groups.len());
            for group in groups {
                let text = |bytes: Option<&[u8]>| Some(std::str::from_utf8(bytes?).ok()?.to_owned());
                all.push((text(group.min_bytes_opt())?, text(group.max_bytes_opt())?));
            }
            let (min, max) = (all.iter().map(|v| &v.0).min()?, all.iter().map(|v| &v.1).max()?);
            Some((json!(min), json!(max)))
        }
        _ => None,
    }
}

/// A time in microseconds as the log has it, which is in milliseconds: a greatest one has to be rounded up.
fn to_milliseconds(us: i64, round_up_us: i64) -> Option<String> {
    let ms = us.checked_add(round_up_us)?.div_euclid(1000);
    Some(DateTime::<Utc>::from_timestamp_millis(ms)?.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Stores a file; what the log is to say of it.
async fn put(store: &Arc<dyn ObjectStore>, file: File) -> Result<Add, DeltaTableError> {
    let path = Path::from(format!("{PARTITION}={}/part-{}.zstd.parquet", file.date, uuid::Uuid::new_v4()));
    let size = i64::try_from(file.bytes.len()).unwrap_or(i64::MAX);
    if file.bytes.len() <= PART_BYTES {
        store.put(&path, PutPayload::from(file.bytes)).await?;
    } else {
        put_in_parts(store, &path, file.bytes.into()).await?;
    }
    Ok(Add {
        path: path.to_string(),
        partition_values: [(PARTITION.to_owned(), Some(file.date))].into_iter().collect(),
        size,
        modification_time: Utc::now().timestamp_millis(),
        data_change: true,
        stats: Some(file.stats),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    })
}

async fn put_in_parts(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    mut bytes: Bytes,
) -> Result<(), object_store::Error> {
    let mut upload = store.put_multipart(path).await?;
    let sent = async {
        while !bytes.is_empty() {
            upload.put_part(bytes.split_to(PART_BYTES.min(bytes.len())).into()).await?;
        }
        upload.complete().await.map(drop)
    };
    let sent = sent.await;
    if sent.is_err()
        && let Err(error) = upload.abort().await
    {
        // Parts of no file cost until the bucket's lifecycle rule ends them.
        tracing::warn!(%path, %error, "cannot take back the parts of an upload that failed");
    }
    sent
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn rows(of: &[(i32, &str)]) -> RecordBatch {
        let dates: ArrayRef = Arc::new(Date32Array::from_iter_values(of.iter().map(|row| row.0)));
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(of.iter().map(|row| row.1)));
        RecordBatch::try_from_iter([(PARTITION, dates), ("vehicle_id", names)]).unwrap()
    }

    #[test]
    fn every_row_is_in_the_file_of_its_day_in_the_order_it_came() {
        let split = by_day(&rows(&[(1, "a"), (0, "b"), (1, "c"), (-1, "d"), (1, "e")])).unwrap();
        let of = |batch: &RecordBatch| -> Vec<String> {
            batch.column(0).as_string::<i32>().iter().flatten().map(ToOwned::to_owned).collect()
        };
        let found: Vec<_> = split.iter().map(|(day, rows)| (day.as_str(), of(rows))).collect();
        let text = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                ("1969-12-31", text(&["d"])),
                ("1970-01-01", text(&["b"])),
                ("1970-01-02", text(&["a", "c", "e"]))
            ]
        );
        assert!(by_day(&rows(&[])).unwrap().is_empty(), "no rows are no file");
    }

    #[test]
    fn rows_the_table_cannot_hold_are_refused_and_what_they_lack_is_null() {
        let files = TableKind::Readings.stored_schema();
        let head = || {
            vec![
                ("vehicle_id", Arc::new(StringArray::from(vec!["van-1"])) as ArrayRef),
                ("ts", Arc::new(TimestampMicrosecondArray::from(vec![5]).with_timezone("UTC")) as ArrayRef),
                ("received_at", Arc::new(TimestampMicrosecondArray::from(vec![6]).with_timezone("UTC"))),
                ("stream_id", Arc::new(StringArray::from(vec!["s"]))),
            ]
        };
        let lacking = RecordBatch::try_from_iter(head()).unwrap();
        let refused = as_in_files(&lacking, &files).unwrap_err().to_string();
        assert!(refused.contains("\"sequence\""), "{refused}");
        let sequence = ("sequence", Arc::new(Int64Array::from(vec![1])) as ArrayRef);
        let enough = RecordBatch::try_from_iter(head().into_iter().chain([sequence.clone()])).unwrap();
        assert_eq!(as_in_files(&enough, &files).unwrap().num_columns(), 5);
        let unknown = ("warp_factor", Arc::new(Int64Array::from(vec![9])) as ArrayRef);
        let more = RecordBatch::try_from_iter(head().into_iter().chain([sequence, unknown])).unwrap();
        let refused = as_in_files(&more, &files).unwrap_err().to_string();
        assert!(refused.contains("\"warp_factor\""), "{refused}");
    }

    #[test]
    fn the_log_s_bounds_hold_every_row() {
        let files = TableKind::Readings.stored_schema();
        let times = vec![1_700_000_000_123_456, 1_700_000_000_123_001, -1];
        let batch = RecordBatch::try_from_iter([
            ("vehicle_id", Arc::new(StringArray::from(vec!["b", "a", "zebra"])) as ArrayRef),
            ("ts", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")) as ArrayRef),
            ("received_at", Arc::new(TimestampMicrosecondArray::from(vec![0, 0, 0]).with_timezone("UTC"))),
            ("stream_id", Arc::new(StringArray::from(vec!["s", "s", "s"]))),
            ("sequence", Arc::new(Int64Array::from(vec![7, -3, 9_007_199_254_740_993]))),
        ])
        .unwrap();
        let file = encode(TableKind::Readings, &files, "1970-01-01".to_owned(), &batch).unwrap();
        let stats: Value = serde_json::from_str(&file.stats).unwrap();
        assert_eq!(
            stats,
            json!({
                "numRecords": 3,
                "minValues": {
                    "vehicle_id": "a", "ts": "1969-12-31T23:59:59.999Z", "received_at": "1970-01-01T00:00:00.000Z",
                    "sequence": -3
                },
                "maxValues": {
                    "vehicle_id": "zebra", "ts": "2023-11-14T22:13:20.124Z", "received_at": "1970-01-01T00:00:00.000Z",
                    "sequence": 9_007_199_254_740_993_i64
                },
                "nullCount": {"vehicle_id": 0, "ts": 0, "received_at": 0, "sequence": 0},
            })
        );
    }
}
