//! How columns lie in files where that is not how they are read: decimals that stand for doubles.
//!
//! Places and counters move a little from row to row. As doubles each value is one of its own, and
//! neither a dictionary nor zstd finds what they have in common; as whole numbers of a small step
//! their differences are small, and delta coding takes a quarter of the bytes (docs/lake.md). So
//! they are stored as `DECIMAL(18, scale)`, a long in Parquet that every reader knows, rounded to a
//! step finer than sensors have. Whatever else is measured takes few distinct values, which a
//! dictionary of doubles holds as they are.
//!
//! Rows come and go as doubles ([`TableKind::schema`]): `LakeTable::append` rounds,
//! `LakeTable::provider` and `LakeTable::changes` give doubles back, the nearest to the
//! decimal. A table keeps the types it was made with, so one of an earlier release stays one of
//! doubles, and is written and read as such.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use datafusion::{
    catalog::{Session, TableProvider, view::ViewTable},
    datasource::provider_as_source,
    error::Result,
    logical_expr::{
        Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, cast as cast_to, ident,
    },
    physical_plan::ExecutionPlan,
};

use crate::schema::TableKind;

/// Digits that fit an INT64.
const PRECISION: u8 = 18;
/// Columns of `readings` that are stored as decimals, and the digits after the point: 1.1 cm over
/// ground, 1 cm of height, 1 m driven, 0.1 ml and 0.1 Wh used.
const DECIMALS: [(&str, i8); 6] = [
    ("latitude", 7),
    ("longitude", 7),
    ("altitude_m", 2),
    ("odometer_km", 3),
    ("fuel_used_l", 4),
    ("energy_used_kwh", 4),
];

impl TableKind {
    /// The schema of the table's files: what [`TableKind::schema`] says, but for what is stored as
    /// decimals.
    pub fn stored_schema(self) -> SchemaRef {
        let schema = self.schema();
        if self != TableKind::Readings {
            return schema;
        }
        let stored = |field: &Arc<Field>| match DECIMALS.iter().find(|(name, _)| name == field.name()) {
            Some((_, scale)) => {
                Arc::new(field.as_ref().clone().with_data_type(DataType::Decimal128(PRECISION, *scale)))
            }
            None => Arc::clone(field),
        };
        Arc::new(Schema::new(schema.fields().iter().map(stored).collect::<Vec<_>>()))
    }
}

/// Whether a column of these files stands for doubles.
pub(crate) fn is_decimal(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Decimal128(..))
}

/// Rows as a table of the schema `stored` keeps them. What a decimal cannot hold, above
/// 99,999,999,999 degrees or kilometres, becomes null.
pub(crate) fn to_stored(batch: &RecordBatch, stored: &Schema) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        match stored.field_with_name(field.name()) {
            Ok(to) if is_decimal(to) && *field.data_type() == DataType::Float64 => {
                fields.push(Arc::new(field.as_ref().clone().with_data_type(to.data_type().clone())));
                columns.push(cast(column, to.data_type())?);
            }
            _ => {
                fields.push(Arc::clone(field));
                columns.push(Arc::clone(column));
            }
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The table as it is read: decimals as doubles.
pub(crate) fn as_read(kind: TableKind, files: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    if !files.schema().fields().iter().any(|field| is_decimal(field)) {
        return Ok(files);
    }
    let columns: Vec<Expr> = files
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let column = ident(field.name());
            if is_decimal(field) { cast_to(column, DataType::Float64).alias(field.name()) } else { column }
        })
        .collect();
    let plan =
        LogicalPlanBuilder::scan(kind.name(), provider_as_source(files), None)?.project(columns)?.build()?;
    Ok(Arc::new(AsRead(ViewTable::new(plan, None))))
}

/// A view that says it is a table, which it is to those who list tables.
#[derive(Debug)]
struct AsRead(ViewTable);

#[async_trait::async_trait]
impl TableProvider for AsRead {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.0.get_logical_plan()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.0.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(state, projection, filters, limit).await
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{AsArray, Float64Array},
        datatypes::Float64Type,
    };

    use super::*;

    #[test]
    fn decimals_are_columns_of_readings_and_nothing_else_differs() {
        let (read, stored) = (TableKind::Readings.schema(), TableKind::Readings.stored_schema());
        let mut decimals = Vec::new();
        for (read, stored) in read.fields().iter().zip(stored.fields()) {
            assert_eq!((read.name(), read.is_nullable()), (stored.name(), stored.is_nullable()));
            if is_decimal(stored) {
                assert_eq!(*read.data_type(), DataType::Float64);
                decimals.push(read.name().as_str());
            } else {
                assert_eq!(read.data_type(), stored.data_type());
            }
        }
        assert_eq!(decimals.len(), DECIMALS.len(), "{decimals:?}");
        for kind in TableKind::ALL.into_iter().filter(|kind| *kind != TableKind::Readings) {
            assert_eq!(kind.schema(), kind.stored_schema());
        }
    }

    #[test]
    fn a_double_comes_back_within_half_a_step_and_what_was_a_decimal_as_the_nearest_double() {
        let values = vec![
            Some(50.123_456_7),
            Some(123_456_789.0 * 1e-6 - 180.0),
            Some(0.123_456_749_9),
            None,
            Some(-0.0),
            Some(1555.6),
            Some(1e300),
        ];
        let batch = RecordBatch::try_from_iter([(
            "latitude",
            Arc::new(Float64Array::from(values.clone())) as ArrayRef,
        )])
        .unwrap();
        let stored = to_stored(&batch, &TableKind::Readings.stored_schema()).unwrap();
        assert_eq!(*stored.column(0).data_type(), DataType::Decimal128(18, 7));
        let back = cast(stored.column(0), &DataType::Float64).unwrap();
        let back: Vec<Option<f64>> = back.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(back[0], Some(50.123_456_7));
        for (was, is) in values.iter().zip(&back).take(6) {
            assert_eq!(was.is_some(), is.is_some());
            let apart = was.zip(*is).map_or(0.0, |(was, is)| (was - is).abs());
            assert!(apart <= 0.5e-7 + 1e-12, "{was:?} {is:?}");
        }
        assert_eq!(back[6], None, "no latitude, and no error that stops a batch");
    }

    #[test]
    fn rows_for_a_table_of_doubles_stay_doubles() {
        let batch = RecordBatch::try_from_iter([(
            "latitude",
            Arc::new(Float64Array::from(vec![1.0 / 3.0])) as ArrayRef,
        )])
        .unwrap();
        assert_eq!(to_stored(&batch, &TableKind::Readings.schema()).unwrap(), batch);
    }
}
