//! Table functions: one signal's samples, a table as it was at a version, and visits to areas.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    catalog::{MemorySchemaProvider, SchemaProvider, TableFunctionImpl, TableProvider, view::ViewTable},
    common::{ScalarValue, plan_err},
    datasource::provider_as_source,
    error::{DataFusionError, Result},
    execution::SessionState,
    logical_expr::{Expr, LogicalPlanBuilder, cast},
    prelude::{SessionContext, col, lit},
};
use futures::FutureExt;
use lake::{TableKind, Whose};
use wire::readings::COLUMNS;

use super::{
    Find, Late, Only, Versioned, cited::LakeVersion, gapfill::Gapfill, geo::Areas, snapshot::Tables,
};

/// Adds them. `signal`, `gapfill` and `geofence_visits` read the session's own tables, `lake_version` tells of
/// those in `read`; `lake_at` shows rows of `whose` alone.
pub(crate) fn add(
    context: &SessionContext,
    schema: &Arc<MemorySchemaProvider>,
    (tables, read): (&Arc<Tables>, Arc<dyn Versioned>),
    whose: Option<&Whose>,
) {
    context.register_udtf("lake_version", Arc::new(LakeVersion(read)));
    context.register_udtf("signal", Arc::new(Signal(Arc::clone(schema))));
    // It asks by `signal`.
    context.register_udtf("gapfill", Arc::new(Gapfill { state: context.state() }));
    for of in [OfGeofences::Visits, OfGeofences::Events] {
        context.register_udtf(of.name(), Arc::new(Geofences { state: context.state(), of }));
    }
    context.register_udtf(
        "lake_at",
        Arc::new(LakeAt { schema: Arc::clone(schema), tables: Arc::clone(tables), whose: whose.cloned() }),
    );
}

pub(super) fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => Some(text),
        _ => None,
    }
}

/// `signal('Vehicle.Body.…')`: vehicle, time and value of one signal in the unit of VSS, wherever it is kept.
#[derive(Debug)]
struct Signal(Arc<MemorySchemaProvider>);

impl TableFunctionImpl for Signal {
    fn call(&self, args: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        let [path] = args else { return plan_err!("signal takes a VSS path: signal('Vehicle.Speed')") };
        let Some(path) = text(path) else {
            return plan_err!("signal takes a VSS path as text, {path} is none");
        };
        let column = COLUMNS.iter().find(|column| column.signal == path);
        let kind = if column.is_some() { TableKind::Readings } else { TableKind::Signals };
        // A memory schema answers at once. It is not waited for, since who plans may be waited for already.
        let samples = self.0.table(kind.name()).now_or_never().transpose()?.flatten();
        let Some(samples) = samples else { return plan_err!("there is no table {} here", kind.name()) };
        let (is_of_it, value, text) = match column {
            Some(column) => (
                col(column.name).is_not_null(),
                cast(col(column.name), DataType::Float64) / lit(column.scale),
                cast(lit(ScalarValue::Null), DataType::Utf8),
            ),
            None => (col("signal").eq(lit(path)), col("value"), col("text")),
        };
        let [vehicle_id, ts, date, clock] = ["vehicle_id", "ts", "date", "clock"].map(col);
        let columns = [vehicle_id, ts, date, value.alias("value"), text.alias("text"), clock];
        let plan = LogicalPlanBuilder::scan(kind.name(), provider_as_source(samples), None)?
            .filter(is_of_it)?
            .project(columns)?
            .build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// Readings outside an area for less than this between two inside are no end of a visit: a receiver
/// near its border.
const ABSENCE_MIN_S: i64 = 60;

/// `geofence_visits('<GeoJSON>' [, absence_min_s])`: from when to when each vehicle was in each area; and
/// `geofence_events`, the same as a row for each time one came in or went out.
#[derive(Debug)]
struct Geofences {
    state: SessionState,
    of: OfGeofences,
}

#[derive(Debug, Clone, Copy)]
enum OfGeofences {
    Visits,
    Events,
}

impl OfGeofences {
    fn name(self) -> &'static str {
        match self {
            Self::Visits => "geofence_visits",
            Self::Events => "geofence_events",
        }
    }

    fn query(self) -> String {
        match self {
            Self::Visits => VISITS.to_owned(),
            Self::Events => format!("WITH visits AS ({VISITS}) {EVENTS}"),
        }
    }
}

impl TableFunctionImpl for Geofences {
    fn call(&self, args: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        let name = self.of.name();
        let (areas, absence_min_s) = match args {
            [areas] => (areas, ABSENCE_MIN_S),
            [areas, Expr::Literal(ScalarValue::Int64(Some(seconds)), _)]
                if (0..=86_400).contains(seconds) =>
            {
                (areas, *seconds)
            }
            _ => {
                return plan_err!(
                    "{name} takes areas as GeoJSON, and seconds (0 to 86400) that a vehicle is away at least: \
                     {name}('{{\"type\": …}}', 60)"
                );
            }
        };
        let Some(areas) = text(areas) else {
            return plan_err!("{name} takes areas as a text of GeoJSON, {areas} is none");
        };
        if let Err(what) = Areas::parse(areas) {
            return plan_err!("{name}: {what}");
        }
        let query = self.of.query();
        let query = query
            .replace("$absence_min_s", &absence_min_s.to_string())
            .replace("$areas", &areas.replace('\'', "''"));
        // The session's tables are in memory, so planning waits for nothing.
        let plan = futures::executor::block_on(self.state.create_logical_plan(&query))?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// Runs of readings inside: a visit goes on while no reading in between is outside for long. A vehicle
/// that tells nothing has not left. It ends with the first reading outside.
const VISITS: &str = "
WITH placed AS (
  SELECT vehicle_id, ts, latitude, longitude,
         row_number() OVER (PARTITION BY vehicle_id ORDER BY ts) AS place,
         lead(ts) OVER (PARTITION BY vehicle_id ORDER BY ts) AS next_ts
  FROM readings WHERE latitude IS NOT NULL AND longitude IS NOT NULL),
inside AS (
  SELECT vehicle_id, ts, place, next_ts, unnest(areas_at(latitude, longitude, '$areas')) AS geofence
  FROM placed),
followed AS (
  SELECT *, lag(place) OVER (PARTITION BY vehicle_id, geofence ORDER BY ts, place) AS place_before,
         lag(next_ts) OVER (PARTITION BY vehicle_id, geofence ORDER BY ts, place) AS left_at
  FROM inside),
numbered AS (
  SELECT *, sum(CASE WHEN place_before IS NULL
                       OR (place > place_before + 1 AND ts - left_at >= INTERVAL '$absence_min_s seconds')
                     THEN 1 ELSE 0 END)
            OVER (PARTITION BY vehicle_id, geofence ORDER BY ts, place
                  ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS visit
  FROM followed)
SELECT vehicle_id, geofence, min(ts) AS enter_time, last_value(next_ts ORDER BY ts, place) AS exit_time,
       extract(epoch FROM last_value(next_ts ORDER BY ts, place) - min(ts)) AS duration_s,
       count(*) AS reading_count
FROM numbered GROUP BY vehicle_id, geofence, visit";

/// A visit that lasts has not been left.
const EVENTS: &str = "
SELECT vehicle_id, geofence, 'enter' AS event, enter_time AS ts, CAST(NULL AS DOUBLE) AS duration_s
FROM visits
UNION ALL
SELECT vehicle_id, geofence, 'exit' AS event, exit_time AS ts, CAST(duration_s AS DOUBLE) AS duration_s
FROM visits WHERE exit_time IS NOT NULL";

/// `lake_at('trips', 12)`: the table as it was at a version.
#[derive(Debug)]
struct LakeAt {
    schema: Arc<MemorySchemaProvider>,
    tables: Arc<Tables>,
    whose: Option<Whose>,
}

impl TableFunctionImpl for LakeAt {
    fn call(&self, args: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        let [name, version] = args else {
            return plan_err!("lake_at takes a table and a version: lake_at('trips', 12)");
        };
        let kind = TableKind::ALL.into_iter().find(|kind| text(name) == Some(kind.name()));
        let Some(kind) = kind else {
            return plan_err!("lake_at takes the name of a table as text, {name} is none");
        };
        let Expr::Literal(ScalarValue::Int64(Some(version)), _) = version else {
            return plan_err!("lake_at takes a version as a number, {version} is none");
        };
        let then = Then { tables: Arc::clone(&self.tables), version: *version };
        // Its columns are of the types they are read as now. A memory schema answers at once.
        let now = futures::executor::block_on(self.schema.table(kind.name()))?;
        let schema = now.map_or_else(|| kind.schema(), |now| now.schema());
        let then = Arc::new(Late { kind, schema, place: Arc::new(then) });
        let Some(whose) = &self.whose else { return Ok(then) };
        Ok(Arc::new(Only::of(then, whose)))
    }
}

/// Tables at a version.
#[derive(Debug)]
struct Then {
    tables: Arc<Tables>,
    version: i64,
}

#[async_trait::async_trait]
impl Find for Then {
    async fn find(&self, kind: TableKind) -> Result<Arc<dyn TableProvider>> {
        let then = self.tables.told_pinned(kind, self.version).await;
        Ok(then.map_err(|e| DataFusionError::Execution(e.message))?.into_provider(kind))
    }
}
