//! Whose rows new versions added, and of which time: read from two or three columns of their files.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, TimestampMicrosecondType},
};
use deltalake::{DeltaTableError, kernel::Action};
use wire::time::Timestamp;

use crate::{
    schema::timestamp_type,
    table::{LakeTable, ReadError},
};

/// What some versions added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The last version that was looked at.
    pub version: i64,
    /// Of each vehicle the first and the last time that its new rows speak of.
    pub vehicles: BTreeMap<String, (Timestamp, Timestamp)>,
}

impl LakeTable {
    /// Whose rows the versions after `after_version` added, at most `versions_max` of them. As of
    /// [`LakeTable::changes`], whose errors it has, but without reading the rows.
    pub async fn touched(&mut self, after_version: i64, versions_max: usize) -> Result<Touched, ReadError> {
        let newest = self.refresh().await?;
        let mut touched = Touched { version: after_version, vehicles: BTreeMap::new() };
        let (from, to) = self.kind.times();
        for version in (after_version + 1..=newest).take(versions_max) {
            for action in self.actions(version).await? {
                let Action::Add(add) = action else { continue };
                if !add.data_change {
                    continue;
                }
                for batch in self.read_columns(version, &add.path, &["vehicle_id", from, to]).await? {
                    touched.take(&batch, (from, to)).map_err(|e| self.read_error(e.into()))?;
                }
            }
            touched.version = version;
        }
        Ok(touched)
    }
}

impl Touched {
    fn take(
        &mut self,
        batch: &RecordBatch,
        (from, to): (&str, &str),
    ) -> Result<(), arrow::error::ArrowError> {
        let column = |name: &str, of: &DataType| match batch.column_by_name(name) {
            Some(column) => cast(column, of),
            None => Ok(arrow::array::new_null_array(of, batch.num_rows())),
        };
        let vehicles = column("vehicle_id", &DataType::Utf8)?;
        let (from, to) = (column(from, &timestamp_type())?, column(to, &timestamp_type())?);
        let vehicles = vehicles.as_string::<i32>();
        let (from, to) =
            (from.as_primitive::<TimestampMicrosecondType>(), to.as_primitive::<TimestampMicrosecondType>());
        for row in 0..batch.num_rows() {
            if !vehicles.is_valid(row) || !from.is_valid(row) {
                continue;
            }
            let first = Timestamp(from.value(row));
            // What has no end yet is of the time it began at.
            let last = if to.is_valid(row) { Timestamp(to.value(row)).max(first) } else { first };
            match self.vehicles.get_mut(vehicles.value(row)) {
                Some(known) => *known = (known.0.min(first), known.1.max(last)),
                None => {
                    self.vehicles.insert(vehicles.value(row).to_owned(), (first, last));
                }
            }
        }
        Ok(())
    }
}

impl LakeTable {
    /// Some columns of a file; those that it has.
    async fn read_columns(
        &self,
        version: i64,
        path: &str,
        columns: &[&str],
    ) -> Result<Vec<RecordBatch>, ReadError> {
        let parquet = |source| self.read_error(DeltaTableError::Parquet { source });
        let file = self.open_file(version, path).await?;
        let mask = parquet::arrow::ProjectionMask::columns(file.parquet_schema(), columns.iter().copied());
        let reader = file.with_projection(mask).build().map_err(parquet)?;
        reader.collect::<Result<_, _>>().map_err(|e: arrow::error::ArrowError| self.read_error(e.into()))
    }
}
