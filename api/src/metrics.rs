//! Metrics of the api, all of them.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// A request was answered: by class of status, never by path or id.
pub(crate) fn request_answered(method: &'static str, status: u16, elapsed: Duration) {
    let outcome = match status {
        0..400 => "ok",
        400..500 => "client_error",
        _ => "server_error",
    };
    counter!("roadlake_api_requests_total", "method" => method, "outcome" => outcome).increment(1);
    histogram!("roadlake_api_request_duration_seconds", "method" => method).record(elapsed.as_secs_f64());
}

/// A version of the lake's `trips` was projected.
#[allow(clippy::cast_precision_loss, reason = "a gauge is a double")]
pub(crate) fn trips_followed(count: u64, version: i64) {
    counter!("roadlake_api_trip_revisions_total").increment(count);
    gauge!("roadlake_api_trips_version_count").set(version as f64);
}

/// The lake could not be followed; it will be tried again.
pub(crate) fn follow_failed() {
    counter!("roadlake_api_follow_failures_total").increment(1);
}

/// Invoice lines were written.
pub(crate) fn lines_billed(count: u64) {
    counter!("roadlake_api_invoice_lines_total").increment(count);
}

/// An evidence was run again.
pub(crate) fn evidence_checked(agrees: bool) {
    let outcome = if agrees { "agrees" } else { "differs" };
    counter!("roadlake_api_evidence_checks_total", "outcome" => outcome).increment(1);
}
