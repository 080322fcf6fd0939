//! The views that everybody has over the tables, as queries.

use std::sync::Arc;

use datafusion::{
    catalog::{MemorySchemaProvider, SchemaProvider, view::ViewTable},
    error::Result,
    prelude::SessionContext,
};
use lake::TableKind;
use wire::readings::COLUMNS;

use super::catalogue;

/// A view, and the tables it is made of.
struct View {
    name: &'static str,
    of: &'static [TableKind],
    query: String,
}

/// The newest revisions of what took place, keyed by an id.
fn latest(kind: TableKind, name: &'static str, of: &'static [TableKind], key: &str) -> View {
    let query = format!(
        "SELECT * EXCLUDE (revision_rank) FROM (
           SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY revision DESC) AS revision_rank
           FROM {})
         WHERE revision_rank = 1 AND status <> 'withdrawn'",
        kind.name(),
    );
    View { name, of, query }
}

/// In an order in which each needs only those before it.
fn all() -> Vec<View> {
    use TableKind::{Diagnostics, DrivingEvents, Readings, Signals, Stops, Trips};
    vec![
        latest(Trips, "latest_trips", &[Trips], "trip_id"),
        latest(Stops, "latest_stops", &[Stops], "stop_id"),
        latest(DrivingEvents, "latest_driving_events", &[DrivingEvents], "event_id"),
        View { name: "vehicle_day", of: &[Trips, DrivingEvents], query: VEHICLE_DAY.to_owned() },
        View { name: "last_reading", of: &[Readings], query: last_reading() },
        View { name: "last_sample", of: &[Signals], query: LAST_SAMPLE.to_owned() },
        View { name: "vehicle_range", of: &[Readings, Trips], query: VEHICLE_RANGE.to_owned() },
        View { name: "fault_episodes", of: &[Diagnostics], query: FAULT_EPISODES.to_owned() },
    ]
}

/// A row a vehicle: its newest reading's times, and of every column the newest value that is known.
fn last_reading() -> String {
    let newest =
        |name: &str| format!("last_value({name} ORDER BY ts) FILTER (WHERE {name} IS NOT NULL) AS {name}");
    let columns: Vec<String> = COLUMNS.iter().map(|column| newest(column.name)).collect();
    format!(
        "SELECT vehicle_id, max(ts) AS ts, max(received_at) AS received_at, {}
         FROM readings GROUP BY vehicle_id",
        columns.join(", "),
    )
}

/// The newest sample of each of a vehicle's signals.
const LAST_SAMPLE: &str = "
SELECT vehicle_id, signal, max(ts) AS ts, last_value(value ORDER BY ts) AS value,
       last_value(text ORDER BY ts) AS text
FROM signals GROUP BY vehicle_id, signal";

/// How far a vehicle goes with what it has: by the distance it drove a percent of tank or battery, over the
/// trips whose level fell by one percent or more, at least five percent of them together.
const VEHICLE_RANGE: &str = "
WITH levels AS (
  SELECT t.vehicle_id, t.trip_id, max(t.distance_m) / 1000.0 AS distance_km,
         first_value(r.fuel_level_pct ORDER BY r.ts) FILTER (WHERE r.fuel_level_pct IS NOT NULL)
           - last_value(r.fuel_level_pct ORDER BY r.ts) FILTER (WHERE r.fuel_level_pct IS NOT NULL) AS fuel_pct,
         first_value(r.soc_pct ORDER BY r.ts) FILTER (WHERE r.soc_pct IS NOT NULL)
           - last_value(r.soc_pct ORDER BY r.ts) FILTER (WHERE r.soc_pct IS NOT NULL) AS soc_pct
  FROM latest_trips t
  JOIN readings r ON r.vehicle_id = t.vehicle_id AND r.ts >= t.start_time AND r.ts <= t.end_time
  GROUP BY t.vehicle_id, t.trip_id),
driven AS (
  SELECT vehicle_id,
         sum(distance_km) FILTER (WHERE fuel_pct >= 1) / nullif(sum(fuel_pct) FILTER (WHERE fuel_pct >= 1), 0)
           AS fuel_km_per_pct,
         sum(fuel_pct) FILTER (WHERE fuel_pct >= 1) AS fuel_pct,
         sum(distance_km) FILTER (WHERE soc_pct >= 1) / nullif(sum(soc_pct) FILTER (WHERE soc_pct >= 1), 0)
           AS soc_km_per_pct,
         sum(soc_pct) FILTER (WHERE soc_pct >= 1) AS soc_pct
  FROM levels GROUP BY vehicle_id)
SELECT l.vehicle_id, l.ts, l.fuel_level_pct, l.soc_pct,
       CASE WHEN d.fuel_pct >= 5 THEN d.fuel_km_per_pct END AS fuel_km_per_pct,
       CASE WHEN d.soc_pct >= 5 THEN d.soc_km_per_pct END AS soc_km_per_pct,
       CASE WHEN d.fuel_pct >= 5 THEN l.fuel_level_pct * d.fuel_km_per_pct END AS fuel_range_km,
       CASE WHEN d.soc_pct >= 5 THEN l.soc_pct * d.soc_km_per_pct END AS electric_range_km
FROM last_reading l LEFT JOIN driven d ON l.vehicle_id = d.vehicle_id";

/// A vehicle's day: of trips and events that start in it.
const VEHICLE_DAY: &str = "
SELECT vehicle_id, date, trip_count, distance_km, driven_s, moving_s, idle_s,
       idle_s * 1.0 / nullif(driven_s, 0) AS idle_share,
       driven_s / 86400.0 AS utilisation_share,
       speed_max_kmh, fuel_used_l,
       fuel_used_l * 100.0 / nullif(fuelled_km, 0) AS fuel_l_per_100km,
       energy_used_kwh,
       energy_used_kwh * 100.0 / nullif(electric_km, 0) AS energy_kwh_per_100km,
       harsh_low_count, harsh_medium_count, harsh_high_count,
       CASE WHEN trip_count > 0 THEN
         100.0 / (1.0 + (harsh_low_count + 2 * harsh_medium_count + 4 * harsh_high_count)
                        * 5.0 / greatest(distance_km, 10.0))
       END AS driving_score,
       refuel_count, refuelled_l, fuel_theft_count, charging_count, charged_kwh
FROM (
  SELECT coalesce(t.vehicle_id, e.vehicle_id) AS vehicle_id, coalesce(t.date, e.date) AS date,
         coalesce(trip_count, 0) AS trip_count, coalesce(distance_km, 0.0) AS distance_km,
         coalesce(driven_s, 0) AS driven_s, coalesce(moving_s, 0) AS moving_s,
         coalesce(idle_s, 0) AS idle_s, speed_max_kmh, fuel_used_l, fuelled_km, energy_used_kwh,
         electric_km, coalesce(harsh_low_count, 0) AS harsh_low_count,
         coalesce(harsh_medium_count, 0) AS harsh_medium_count,
         coalesce(harsh_high_count, 0) AS harsh_high_count, coalesce(refuel_count, 0) AS refuel_count,
         refuelled_l, coalesce(fuel_theft_count, 0) AS fuel_theft_count,
         coalesce(charging_count, 0) AS charging_count, charged_kwh
  FROM (
    SELECT vehicle_id, date, count(*) AS trip_count, sum(distance_m) / 1000.0 AS distance_km,
           sum(duration_s) AS driven_s, sum(moving_s) AS moving_s, sum(idle_s) AS idle_s,
           max(speed_max_kmh) AS speed_max_kmh, sum(fuel_used_l) AS fuel_used_l,
           sum(distance_m) FILTER (WHERE fuel_used_l IS NOT NULL) / 1000.0 AS fuelled_km,
           sum(energy_used_kwh) AS energy_used_kwh,
           sum(distance_m) FILTER (WHERE energy_used_kwh IS NOT NULL) / 1000.0 AS electric_km
    FROM latest_trips GROUP BY vehicle_id, date) t
  FULL JOIN (
    SELECT vehicle_id, date,
           count(*) FILTER (WHERE severity = 'low') AS harsh_low_count,
           count(*) FILTER (WHERE severity = 'medium') AS harsh_medium_count,
           count(*) FILTER (WHERE severity = 'high') AS harsh_high_count,
           count(*) FILTER (WHERE kind = 'refuel') AS refuel_count,
           sum(fuel_l) FILTER (WHERE kind = 'refuel') AS refuelled_l,
           count(*) FILTER (WHERE kind = 'fuel_theft') AS fuel_theft_count,
           count(*) FILTER (WHERE kind = 'charging') AS charging_count,
           sum(energy_kwh) FILTER (WHERE kind = 'charging') AS charged_kwh
    FROM latest_driving_events GROUP BY vehicle_id, date) e
  ON t.vehicle_id = e.vehicle_id AND t.date = e.date)";

/// From when to when a control unit told a fault. A fault ends when it is told to be cleared, or when the
/// unit tells its whole list for the first time after a start of the agent and it is not in it.
const FAULT_EPISODES: &str = "
WITH resets AS (
  SELECT DISTINCT vehicle_id, ecu, list, ts FROM diagnostics WHERE event IN ('seen', 'none')),
told AS (
  SELECT vehicle_id, protocol, ecu, list, code, spn, fmi, ts, 1 AS place, event, occurrences,
         freeze_frame
  FROM diagnostics WHERE code IS NOT NULL
  UNION ALL
  SELECT c.vehicle_id, c.protocol, c.ecu, c.list, c.code, c.spn, c.fmi, r.ts, 0 AS place,
         'gone' AS event, CAST(NULL AS BIGINT) AS occurrences, CAST(NULL AS VARCHAR) AS freeze_frame
  FROM (SELECT DISTINCT vehicle_id, protocol, ecu, list, code, spn, fmi
        FROM diagnostics WHERE code IS NOT NULL) c
  JOIN resets r ON c.vehicle_id = r.vehicle_id AND c.ecu = r.ecu AND c.list = r.list
  LEFT JOIN (SELECT DISTINCT vehicle_id, ecu, list, code, ts FROM diagnostics WHERE event = 'seen') s
    ON c.vehicle_id = s.vehicle_id AND c.ecu = s.ecu AND c.list = s.list AND c.code = s.code
       AND r.ts = s.ts
  WHERE s.code IS NULL),
followed AS (
  SELECT *, lag(event) OVER (PARTITION BY vehicle_id, ecu, list, code ORDER BY ts, place) AS before
  FROM told),
numbered AS (
  SELECT *, sum(CASE WHEN event NOT IN ('clear', 'gone') AND (before IS NULL OR before IN ('clear', 'gone'))
                THEN 1 ELSE 0 END)
            OVER (PARTITION BY vehicle_id, ecu, list, code ORDER BY ts, place
                  ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS episode
  FROM followed)
SELECT vehicle_id, protocol, ecu, list, code, max(spn) AS spn, max(fmi) AS fmi,
       min(ts) AS start_time,
       min(ts) FILTER (WHERE event IN ('clear', 'gone')) AS end_time,
       first_value(event ORDER BY ts, place) FILTER (WHERE event IN ('clear', 'gone')) AS ended_by,
       max(occurrences) AS occurrences,
       count(*) FILTER (WHERE event = 'change') AS change_count,
       first_value(freeze_frame ORDER BY ts) FILTER (WHERE freeze_frame IS NOT NULL) AS freeze_frame
FROM numbered WHERE episode > 0
GROUP BY vehicle_id, protocol, ecu, list, code, episode";

/// Adds the views that can be had of these tables, which are there.
pub(crate) async fn add(
    context: &SessionContext,
    schema: &MemorySchemaProvider,
    kinds: &[TableKind],
) -> Result<()> {
    // Who asks for some tables alone, as evidence does, has nothing beside them.
    if kinds.contains(&TableKind::Signals) {
        schema.register_table(catalogue::NAME.to_owned(), catalogue::table()?)?;
    }
    for View { name, of, query } in all() {
        if of.iter().all(|kind| kinds.contains(kind)) {
            let plan = context.state().create_logical_plan(&query).await?;
            schema.register_table(name.to_owned(), Arc::new(ViewTable::new(plan, Some(query))))?;
        }
    }
    Ok(())
}
