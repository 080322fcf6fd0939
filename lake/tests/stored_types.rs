//! Columns that files keep as decimals come and go as doubles, and tables of doubles stay what they
//! are.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test: a failure is the message")]

#[path = "support/rows.rs"]
mod support;

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch},
    datatypes::{DataType, Float64Type, Schema},
};
use deltalake::{
    DeltaTableBuilder,
    kernel::{StructType, engine::arrow_conversion::TryIntoKernel},
};
use lake::{Lake, LakeTable, TableKind, maintenance::CompactionPolicy, schema::PARTITION};
use parquet::{
    basic::Encoding,
    file::reader::{FileReader, SerializedFileReader},
};
use support::{DAY_1, Writer, now_ms, query_all, query_one, readings};

const KIND: TableKind = TableKind::Readings;
/// Decimal columns of `readings` and half the step they are rounded to.
const HALF_STEPS: [(&str, f64); 6] = [
    ("latitude", 0.5e-7),
    ("longitude", 0.5e-7),
    ("altitude_m", 0.005),
    ("odometer_km", 0.0005),
    ("fuel_used_l", 0.00005),
    ("energy_used_kwh", 0.00005),
];

/// Readings whose numbers are as odd as doubles get: no step divides them.
fn odd_readings() -> RecordBatch {
    let rows = readings(DAY_1, &["van-1", "van-2"], 1, 500);
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).enumerate().map(|(c, (field, column))| {
        if *field.data_type() != DataType::Float64 {
            return Arc::clone(column);
        }
        let odd = |i: usize| (i % 11 != c).then(|| (i * (c + 3)) as f64 / 7.0 - 30.0 + i as f64 * 1e-6);
        Arc::new(Float64Array::from_iter((0..rows.num_rows()).map(odd))) as ArrayRef
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

async fn compact(lake: &Lake) -> LakeTable {
    let mut table = lake.open_table(KIND).await.unwrap();
    let policy = CompactionPolicy { settle: Duration::ZERO, ..CompactionPolicy::default() };
    assert_eq!(table.compact(&policy, now_ms()).await.unwrap().commits, 1);
    table
}

/// Each column of doubles is what was written, within what `apart` allows it.
fn compare(written: &RecordBatch, read: &RecordBatch, apart: impl Fn(&str) -> f64) {
    assert_eq!(written.num_rows(), read.num_rows());
    for (field, column) in written.schema().fields().iter().zip(written.columns()) {
        if *field.data_type() != DataType::Float64 {
            continue;
        }
        let found = read.column_by_name(field.name()).unwrap();
        let (written, found) = (column.as_primitive::<Float64Type>(), found.as_primitive::<Float64Type>());
        for (was, is) in written.iter().zip(found) {
            assert_eq!(was.is_some(), is.is_some(), "{}", field.name());
            let distance = was.zip(is).map_or(0.0, |(was, is)| (was - is).abs());
            assert!(distance <= apart(field.name()), "{}: {was:?} is {is:?}", field.name());
        }
    }
}

async fn all_rows(table: &mut LakeTable) -> RecordBatch {
    let columns: Vec<String> = KIND.schema().fields().iter().map(|f| f.name().clone()).collect();
    let query = format!("SELECT {} FROM t ORDER BY vehicle_id, ts", columns.join(", "));
    let batches = query_all(table, &query).await;
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Which columns of a file are coded as deltas.
fn delta_coded(lake: &Lake, table: &LakeTable) -> Vec<String> {
    let paths = table.file_paths().unwrap();
    let file = File::open(lake.folder().unwrap().join(KIND.name()).join(&paths[0])).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let group = reader.metadata().row_group(0);
    let is_delta = |c: &&parquet::file::metadata::ColumnChunkMetaData| {
        c.encodings().any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED)
    };
    group.columns().iter().filter(is_delta).map(|c| c.column_path().string()).collect()
}

#[tokio::test]
async fn decimals_are_read_as_doubles_within_half_a_step_and_the_rest_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let rows = odd_readings();
    Writer::open(&lake, KIND, "w").await.append(rows.clone()).await;

    let apart = |name: &str| {
        let step =
            HALF_STEPS.iter().find(|(decimal, _)| *decimal == name).map(|(_, half)| half * (1.0 + 1e-9));
        step.unwrap_or(0.0)
    };
    let mut table = lake.open_table(KIND).await.unwrap();
    let changes = table.changes(-1, 10).await.unwrap();
    let changed = changes.iter().flat_map(|c| &c.batches).next().unwrap();
    assert_eq!(changed.schema(), KIND.schema(), "followers get doubles");
    compare(&rows, changed, apart);
    compare(&rows, &all_rows(&mut table).await, apart);

    let mut table = compact(&lake).await;
    let sorted = all_rows(&mut table).await;
    compare(&rows, &sorted, apart);
    let again = compare_types(&sorted);
    assert_eq!(again, 0, "every number is read as a double");
    let expected = ["latitude", "longitude", "altitude_m", "odometer_km", "fuel_used_l", "energy_used_kwh"];
    let coded = delta_coded(&lake, &table);
    assert!(expected.iter().all(|name| coded.iter().any(|c| c == name)), "{coded:?}");

    // Conditions on them count as on doubles, and what is listed is a table.
    let within = "SELECT count(*), min(latitude) > 20.0 FROM t WHERE latitude > 20.0 AND longitude < 100.0";
    let (latitude, longitude) = (column(&rows, "latitude"), column(&rows, "longitude"));
    let pairs = latitude.iter().zip(&longitude);
    let count = pairs.filter(|(a, o)| a.is_some_and(|a| a > 20.0) && o.is_some_and(|o| o < 100.0)).count();
    assert!(count > 0);
    assert_eq!(query_one(&mut table, within).await, format!("{count}, true"));
}

fn column(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
}

/// How many columns that should be doubles are of another type.
fn compare_types(rows: &RecordBatch) -> usize {
    let schema = KIND.schema();
    let doubles = schema.fields().iter().filter(|f| *f.data_type() == DataType::Float64);
    doubles.filter(|f| *rows.column_by_name(f.name()).unwrap().data_type() != DataType::Float64).count()
}

/// `readings` as releases before decimals made it: all doubles, written by them.
async fn table_of_doubles(root: &Path, rows: RecordBatch) {
    let folder = root.join(KIND.name());
    std::fs::create_dir_all(&folder).unwrap();
    let url = deltalake::ensure_table_uri(folder.to_string_lossy()).unwrap();
    let schema: StructType = KIND.schema().as_ref().try_into_kernel().unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
    let columns = schema.fields().cloned();
    let created = table.create().with_columns(columns).with_partition_columns([PARTITION]).await.unwrap();
    created.write([rows]).await.unwrap();
}

#[tokio::test]
async fn a_table_of_doubles_is_written_and_read_on_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let rows = odd_readings();
    let (earlier, later) = (rows.slice(0, 500), rows.slice(500, 500));
    table_of_doubles(dir.path(), earlier).await;
    let lake = Lake::create(dir.path()).unwrap();
    Writer::open(&lake, KIND, "w").await.append(later).await;

    let mut table = lake.open_table(KIND).await.unwrap();
    compare(&rows, &all_rows(&mut table).await, |_| 0.0);
    let mut table = compact(&lake).await;
    compare(&rows, &all_rows(&mut table).await, |_| 0.0);
    let coded = delta_coded(&lake, &table);
    assert_eq!(coded, ["ts", "received_at", "sequence"], "doubles have dictionaries");
}

#[test]
fn what_is_stored_differs_from_what_is_read_in_decimals_alone() {
    let stored: Arc<Schema> = KIND.stored_schema();
    let decimals = stored.fields().iter().filter(|f| matches!(f.data_type(), DataType::Decimal128(..)));
    let names: Vec<&str> = decimals.map(|f| f.name().as_str()).collect();
    assert_eq!(names.len(), HALF_STEPS.len());
    for (name, half) in HALF_STEPS {
        let Ok(DataType::Decimal128(_, scale)) = stored.field_with_name(name).map(|f| f.data_type().clone())
        else {
            panic!("{name} is no decimal");
        };
        assert!((10_f64.powi(-i32::from(scale)) / 2.0 / half - 1.0).abs() < 1e-9, "{name}");
    }
}
