//! Tables as they are told: where a private trip was is in none of them.
//!
//! A column of a query cannot tell what it is not given: places are taken out by a plan of their own below
//! whatever is asked (as in `only`), so that neither a condition nor a function sees them. Conditions on other
//! columns go down for pruning. What reads for the derivation reads the tables themselves.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{Array, AsArray, BooleanArray},
    datatypes::{DataType, Int64Type, SchemaRef, TimeUnit},
};
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, ScalarValue, exec_err},
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ScalarUDF, TableProviderFilterPushDown, TableType, Volatility, cast, create_udf,
        when,
    },
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, PhysicalExpr, filter::FilterExec, projection::ProjectionExec,
        streaming::StreamingTableExec,
    },
    prelude::{SessionContext, col, lit},
};
use lake::{LakeTable, TableKind};
use wire::ids::VehicleId;

use super::{
    SqlError,
    only::{is_plain, parts_of},
};
use crate::correction_table::{self, OfVehicle};

/// From when to when private trips were, by vehicle; sorted, and none within another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Private(BTreeMap<String, Vec<(i64, i64)>>);

impl Private {
    fn of(vehicles: &BTreeMap<VehicleId, OfVehicle>) -> Self {
        let mut all = BTreeMap::new();
        for (vehicle_id, said) in vehicles {
            let mut spans: Vec<(i64, i64)> = Vec::new();
            for (from, to) in said.corrections().private() {
                match spans.last_mut() {
                    Some(last) if from.0 <= last.1 => last.1 = last.1.max(to.0),
                    _ => spans.push((from.0, to.0)),
                }
            }
            if !spans.is_empty() {
                all.insert(vehicle_id.to_string(), spans);
            }
        }
        Self(all)
    }

    fn holds(&self, vehicle: &str, ts_us: i64) -> bool {
        let Some(spans) = self.0.get(vehicle) else { return false };
        let after = spans.partition_point(|(from, _)| *from <= ts_us);
        after.checked_sub(1).and_then(|last| spans.get(last)).is_some_and(|(_, to)| ts_us <= *to)
    }
}

/// The private trips of the newest corrections.
#[derive(Debug, Default)]
pub(super) struct PrivateTrips(Mutex<(i64, Arc<Private>)>);

impl PrivateTrips {
    /// They, by the table as it is now.
    pub(super) async fn of(&self, table: &LakeTable) -> Result<Arc<Private>, SqlError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // No table has a version 0 with rows of corrections: the first commit makes it.
        if known.0 == table.version() && known.0 > 0 {
            return Ok(known.1);
        }
        let provider = table.provider().await.map_err(|e| SqlError::internal(&e))?;
        let batches = SessionContext::new().read_table(provider)?.collect().await?;
        let rows = correction_table::from_batches(&batches).map_err(|e| SqlError::internal(&e))?;
        let mut vehicles: BTreeMap<VehicleId, OfVehicle> = BTreeMap::new();
        for row in rows {
            vehicles.entry(row.vehicle_id.clone()).or_default().add(row);
        }
        let found = Arc::new(Private::of(&vehicles));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 <= table.version() {
            *held = (table.version(), Arc::clone(&found));
        }
        Ok(found)
    }
}

/// The table as it is told.
pub(super) fn told(
    kind: TableKind,
    table: Arc<dyn TableProvider>,
    private: &Arc<Private>,
) -> Arc<dyn TableProvider> {
    if private.0.is_empty() {
        return table;
    }
    match hidden(kind) {
        Some(hidden) => {
            Arc::new(WithoutPlaces { table, hidden, is_private: is_private(Arc::clone(private)) })
        }
        None => table,
    }
}

/// What tells a place, and by which time.
#[derive(Debug, Clone, Copy)]
struct Hidden {
    at: &'static str,
    columns: &'static [&'static str],
    /// Rows of signals that begin so are left out instead.
    signals: Option<&'static str>,
}

fn hidden(kind: TableKind) -> Option<Hidden> {
    let (at, columns, signals): (_, &'static [&'static str], _) = match kind {
        TableKind::Readings => {
            ("ts", &["latitude", "longitude", "altitude_m", "heading_deg", "position_accuracy_m"], None)
        }
        TableKind::Signals => ("ts", &[], Some("Vehicle.CurrentLocation.")),
        TableKind::Trips => {
            ("start_time", &["start_latitude", "start_longitude", "end_latitude", "end_longitude"], None)
        }
        TableKind::Stops | TableKind::DrivingEvents => ("start_time", &["latitude", "longitude"], None),
        TableKind::Diagnostics | TableKind::Quarantine | TableKind::Gaps | TableKind::TripCorrections => {
            return None;
        }
    };
    Some(Hidden { at, columns, signals })
}

/// Whether a vehicle was on a private trip then.
fn is_private(private: Arc<Private>) -> ScalarUDF {
    let of = move |args: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let [vehicles, times] = arrays.as_slice() else { return exec_err!("two columns are needed") };
        let (vehicles, times) = (vehicles.as_string::<i32>(), times.as_primitive::<Int64Type>());
        let found = vehicles.iter().zip(times.iter()).map(|(vehicle, ts)| Some(private.holds(vehicle?, ts?)));
        let found: BooleanArray = found.map(|is| Some(is.unwrap_or(false))).collect();
        Ok(ColumnarValue::Array(Arc::new(found) as Arc<dyn Array>))
    };
    let takes = vec![DataType::Utf8, DataType::Int64];
    create_udf("is_private", takes, DataType::Boolean, Volatility::Immutable, Arc::new(of))
}

#[derive(Debug)]
struct WithoutPlaces {
    table: Arc<dyn TableProvider>,
    hidden: Hidden,
    is_private: ScalarUDF,
}

impl WithoutPlaces {
    fn condition(&self) -> Expr {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let at = cast(cast(col(self.hidden.at), time), DataType::Int64);
        self.is_private.call(vec![cast(col("vehicle_id"), DataType::Utf8), at])
    }

    /// Whether a filter says nothing of what is hidden and cannot fail.
    fn may_prune(&self, filter: &Expr) -> bool {
        let names_hidden = |name: &str| {
            self.hidden.columns.contains(&name) || (self.hidden.signals.is_some() && name == "value")
        };
        is_plain(filter) && !filter.column_refs().iter().any(|column| names_hidden(column.name()))
    }
}

#[async_trait::async_trait]
impl TableProvider for WithoutPlaces {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| {
            if self.may_prune(filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let asked = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let is_told_whole = self.hidden.signals.is_none()
            && !asked.iter().any(|&at| self.hidden.columns.contains(&schema.field(at).name().as_str()));
        if is_told_whole {
            // Of what is asked nothing is a place.
            let filters: Vec<Expr> = filters.iter().filter(|f| self.may_prune(f)).cloned().collect();
            return self.table.scan(state, projection, &filters, None).await;
        }
        let mut read = asked.clone();
        for name in ["vehicle_id", self.hidden.at].into_iter().chain(self.hidden.signals.map(|_| "signal")) {
            let at = schema.index_of(name)?;
            if !read.contains(&at) {
                read.push(at);
            }
        }
        let filters: Vec<Expr> = filters.iter().filter(|f| self.may_prune(f)).cloned().collect();
        let mut plan = self.table.scan(state, Some(&read), &filters, None).await?;
        let columns = DFSchema::try_from(plan.schema())?;
        if let Some(prefix) = self.hidden.signals {
            let is_place = cast(col("signal"), DataType::Utf8).like(lit(format!("{prefix}%")));
            let is_told = Expr::Not(Box::new(is_place.and(self.condition())));
            plan = Arc::new(FilterExec::try_new(state.create_physical_expr(is_told, &columns)?, plan)?);
        }
        let mut told: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::with_capacity(asked.len());
        for &at in &asked {
            let field = schema.field(at);
            let name = field.name();
            let expr = if self.hidden.columns.contains(&name.as_str()) {
                let nothing = lit(ScalarValue::try_from(field.data_type())?);
                when(self.condition(), nothing).otherwise(col(name.as_str()))?
            } else {
                col(name.as_str())
            };
            told.push((state.create_physical_expr(expr, &columns)?, name.clone()));
        }
        let plan: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(told, plan)?);
        let schema = plan.schema();
        let count = plan.output_partitioning().partition_count();
        let parts = parts_of(&plan, count);
        Ok(Arc::new(StreamingTableExec::try_new(schema, parts, None, [], false, None)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_private_from_the_first_to_the_last_reading_of_a_private_trip() {
        let spans = vec![(10, 20), (30, 40)];
        let private = Private(BTreeMap::from([("car-1".to_owned(), spans)]));
        let held = |ts| private.holds("car-1", ts);
        assert_eq!(
            [9, 10, 20, 21, 29, 30, 40, 41].map(held),
            [false, true, true, false, false, true, true, false]
        );
        assert!(!private.holds("car-2", 15));
    }
}
