//! Metrics of analytics, all of them.

use metrics::{counter, gauge, histogram};

use crate::engine::SqlErrorKind;

/// A user's query ended.
pub(crate) fn query_ended(failure: Option<SqlErrorKind>) {
    let outcome = match failure {
        None => "ok",
        Some(SqlErrorKind::Invalid) => "invalid",
        Some(SqlErrorKind::Busy) => "busy",
        Some(SqlErrorKind::Timeout) => "timeout",
        Some(SqlErrorKind::Internal) => "internal",
    };
    counter!("roadlake_analytics_queries_total", "outcome" => outcome).increment(1);
}

/// A pass over new readings ended.
#[allow(clippy::cast_precision_loss, reason = "a gauge is a double")]
pub(crate) fn pass_ended(vehicle_count: u64, elapsed_us: i64, readings_version: i64, open_trip_count: usize) {
    counter!("roadlake_analytics_vehicles_derived_total").increment(vehicle_count);
    histogram!("roadlake_analytics_pass_duration_seconds").record(elapsed_us as f64 / 1e6);
    gauge!("roadlake_analytics_readings_version_count").set(readings_version as f64);
    gauge!("roadlake_analytics_open_trips_count").set(open_trip_count as f64);
}

/// Trip rows were committed.
pub(crate) fn trips_written(new: u64, revised: u64, withdrawn: u64) {
    counter!("roadlake_analytics_trip_rows_total", "outcome" => "new").increment(new);
    counter!("roadlake_analytics_trip_rows_total", "outcome" => "revised").increment(revised);
    counter!("roadlake_analytics_trip_rows_total", "outcome" => "withdrawn").increment(withdrawn);
}

/// Rows of stops were committed.
pub(crate) fn stops_written(count: u64) {
    counter!("roadlake_analytics_stop_rows_total").increment(count);
}

/// Rows of driving events were committed.
pub(crate) fn events_written(count: u64) {
    counter!("roadlake_analytics_event_rows_total").increment(count);
}

/// Segments too short to be trips. A window derived again counts its own again.
pub(crate) fn trips_dropped(count: u64) {
    counter!("roadlake_analytics_short_segments_total").increment(count);
}

/// A pass failed and will be made again.
pub(crate) fn pass_failed() {
    counter!("roadlake_analytics_pass_failures_total").increment(1);
}
