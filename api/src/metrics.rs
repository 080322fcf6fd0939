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

/// The connection by which agents are heard and told is there, or is not.
pub(crate) fn agents_link(is_up: bool) {
    gauge!("roadlake_api_agents_link_up").set(if is_up { 1.0 } else { 0.0 });
}

/// An agent's message came: `status`, `reply`, or one that cannot be read.
pub(crate) fn agents_message(kind: &'static str) {
    counter!("roadlake_api_agents_messages_total", "kind" => kind).increment(1);
}

/// The broker was given something for an agent: `campaigns` or `command`.
pub(crate) fn agents_told(channel: &'static str) {
    counter!("roadlake_api_agents_told_total", "channel" => channel).increment(1);
}

/// A certificate was issued to a unit: by `enrolment`, `renewal` or `operator`.
pub(crate) fn certificate_issued(issued_by: &'static str) {
    counter!("roadlake_api_certificates_issued_total", "issued_by" => issued_by).increment(1);
}

/// A unit was refused a certificate: `unproven`, for its `request`, or as things `state`.
pub(crate) fn certificate_refused(reason: &'static str) {
    counter!("roadlake_api_certificates_refused_total", "reason" => reason).increment(1);
}

/// A certificate was revoked.
pub(crate) fn certificate_revoked(reason: &'static str) {
    counter!("roadlake_api_certificates_revoked_total", "reason" => reason).increment(1);
}

/// How many certificates should have been renewed by now and have none after them; until when the list of revoked ones is good.
#[allow(clippy::cast_precision_loss, reason = "a gauge is a double")]
pub(crate) fn certificates_kept(expiring_count: i64, next_update_seconds: f64) {
    gauge!("roadlake_api_certificates_expiring_count").set(expiring_count as f64);
    gauge!("roadlake_api_revocation_list_next_update_seconds").set(next_update_seconds);
}

/// How many vehicles and schedules are due soon and overdue, and how many work orders are open.
#[allow(clippy::cast_precision_loss, reason = "a gauge is a double")]
pub(crate) fn maintenance_kept((due_soon, overdue): (usize, usize), open_orders: i64) {
    gauge!("roadlake_api_maintenance_due_count", "status" => "due_soon").set(due_soon as f64);
    gauge!("roadlake_api_maintenance_due_count", "status" => "overdue").set(overdue as f64);
    gauge!("roadlake_api_work_orders_open_count").set(open_orders as f64);
}

/// How many alerts are open.
#[allow(clippy::cast_precision_loss, reason = "a gauge is a double")]
pub(crate) fn alerts_kept(open_count: i64) {
    gauge!("roadlake_api_alerts_open_count").set(open_count as f64);
}

/// One was raised.
pub(crate) fn alert_raised(severity: &'static str) {
    counter!("roadlake_api_alerts_raised_total", "severity" => severity).increment(1);
}

/// An alert rule was asked about what was new.
pub(crate) fn alert_rule_asked() {
    counter!("roadlake_api_alert_rules_asked_total").increment(1);
}

/// One could not be; it will be tried again.
pub(crate) fn alert_rule_failed() {
    counter!("roadlake_api_alert_rule_failures_total").increment(1);
}

/// A file for brokers or ingest could not be written; it will be tried again.
pub(crate) fn device_files_failed() {
    counter!("roadlake_api_device_files_failures_total").increment(1);
}

/// Somebody came back from the identity provider, or could not be sent there: `done`, or why not.
pub(crate) fn signed_in(outcome: &'static str) {
    counter!("roadlake_api_sign_ins_total", "outcome" => outcome).increment(1);
}

/// The identity provider was asked of a session: `good`, `ended`, or `away` when it will be again.
pub(crate) fn session_checked(outcome: &'static str) {
    counter!("roadlake_api_session_checks_total", "outcome" => outcome).increment(1);
}

/// How many sessions there are.
#[allow(clippy::cast_precision_loss, reason = "a gauge is a double")]
pub(crate) fn sessions_kept(count: i64) {
    gauge!("roadlake_api_sessions_count").set(count as f64);
}

/// A document was printed: an `invoice` or a `note`, as it went.
pub(crate) fn document_printed(kind: &'static str, outcome: &'static str, elapsed: Duration) {
    counter!("roadlake_api_documents_total", "kind" => kind, "outcome" => outcome).increment(1);
    histogram!("roadlake_api_document_duration_seconds", "kind" => kind).record(elapsed.as_secs_f64());
}

/// A webhook was attempted: `delivered`, `pending` when it will be again, or `failed`.
pub(crate) fn webhook_attempted(outcome: &'static str) {
    counter!("roadlake_api_webhook_attempts_total", "outcome" => outcome).increment(1);
}

/// A step of dunning did, or left, one of its actions.
pub(crate) fn dunning_acted(action: &'static str, outcome: &'static str) {
    counter!("roadlake_api_dunning_actions_total", "action" => action, "outcome" => outcome).increment(1);
}

/// A payment that a step of dunning tried was answered.
pub(crate) fn dunning_retried(outcome: &'static str) {
    counter!("roadlake_api_dunning_retries_total", "outcome" => outcome).increment(1);
}

/// Nothing of an invoice is due any more.
pub(crate) fn dunning_ended(outcome: &'static str) {
    counter!("roadlake_api_dunning_ended_total", "outcome" => outcome).increment(1);
}

/// A vehicle came into a geofence or went out of it: `entered` or `exited`.
pub(crate) fn geofence_crossed(event: &'static str) {
    counter!("roadlake_api_geofence_crossings_total", "event" => event).increment(1);
}

/// A payment was tried. These four have the names that operators of fleets asked for.
pub(crate) fn payment_attempted(payment_method: &'static str, amount_range: &'static str) {
    counter!("payment_attempts_total", "payment_method" => payment_method, "amount_range" => amount_range)
        .increment(1);
}

/// A payment ended well.
pub(crate) fn payment_succeeded() {
    counter!("payment_success_total").increment(1);
}

/// A payment ended otherwise.
pub(crate) fn payment_failed(error_type: &'static str) {
    counter!("payment_failure_total", "error_type" => error_type).increment(1);
}

/// The gateway answered, or gave no answer in its time.
pub(crate) fn payment_processed(elapsed: Duration) {
    histogram!("payment_processing_duration_seconds").record(elapsed.as_secs_f64());
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_lists_the_metrics_of_payments() {
        let (page, code) = (include_str!("../../docs/metrics.md"), include_str!("metrics.rs"));
        // Without what stands here.
        let code = code.split("#[cfg(test)]").next().unwrap();
        let names: Vec<&str> =
            code.split('"').filter(|t| t.starts_with("payment_") && t.len() > 15).collect();
        for name in ["payment_attempts_total", "payment_success_total", "payment_failure_total"] {
            assert!(names.contains(&name), "{name}");
        }
        for name in names {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not on the page");
        }
    }
}
