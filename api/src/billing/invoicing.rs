//! Keeps the lines of draft invoices in step with trips, and makes drafts final.
//!
//! One draft an organization and calendar month of its zone; a trip is of the month it ends in.
//! A new revision replaces the trip's lines on drafts. What final invoices billed stays: the
//! difference becomes a credit or debit note (`notes.rs`).

use std::collections::BTreeMap;

use jiff::{ToSpan, tz::TimeZone};
use rust_decimal::Decimal;
use wire::{ids::VehicleId, time::Timestamp};

use super::{
    Assignment, dunning, evidence,
    notes::{self, NoteLine},
    periods::TripInMonth,
    rating::{self, RatedComponent},
    store,
    tariff::{ComponentType, Tariff},
    tariffs,
    types::{Invoice, InvoiceQuery, InvoiceStatus, InvoiceWithLines, Line, LineKind, NewInvoice},
};
use crate::{
    db::Conn,
    events::{self, NewEvent, json_of},
    extract::id_of,
    fault::{DomainError, Faults},
    ids::{InvoiceId, LineId, OrganizationId},
    metrics,
    page::{Cursor, Page, limit_of},
    trips::types::{Trip, TripState},
    users::{self, types::Organization},
};

/// How many months are looked through for one that is not final.
const MONTHS_MAX: usize = 1_200;

/// Writes the lines of a trip's latest revision.
pub(crate) async fn bill(
    conn: &mut Conn,
    now: Timestamp,
    trip: &Trip,
    assignment: &Assignment,
) -> Result<(), DomainError> {
    let tariff = tariffs::get(conn, &assignment.tariff_id, Some(assignment.tariff_version)).await?;
    let organization = users::get(conn, &assignment.organization_id).await?;
    let month = TripInMonth::read(conn, (trip, &organization), &tariff).await?;
    let rest = month.as_ref().map(TripInMonth::rest).unwrap_or_default();
    let rated = match trip.status {
        TripState::Completed => rating::rate(&tariff.terms, &evidence::usage_of(trip), &rest)?,
        TripState::Withdrawn => rating::rate_withdrawn(&tariff.terms, &rest)?,
    };
    if let Some(month) = &month {
        month.save(conn, &rated).await?;
    }
    let existing = store::lines_of_trip(conn, &trip.id).await?;
    let (on_drafts, on_final): (Vec<_>, Vec<_>) =
        existing.into_iter().partition(|l| l.invoice_status == InvoiceStatus::Draft);
    let billed = notes::billed_lines(conn, on_final, &trip.id).await?;
    let lines = match &billed.invoice_id {
        None => usage_lines(now, (trip, &organization), &tariff, rated),
        Some(invoice_id) => {
            let corrections = correction_lines(now, (trip, &organization), &tariff, (rated, &billed));
            let invoice = get(conn, invoice_id).await?;
            notes::issue(conn, now, (trip, &invoice), &corrections).await?;
            metrics::lines_billed(u64::try_from(corrections.len()).unwrap_or(0));
            Vec::new()
        }
    };
    let mut superseded: BTreeMap<InvoiceId, Vec<LineId>> = BTreeMap::new();
    for old in on_drafts {
        superseded.entry(old.invoice_id).or_default().push(old.line.id);
    }
    let target =
        if lines.is_empty() { None } else { Some(open_for(conn, now, &organization, trip.end_time).await?) };
    if let Some(target) = &target {
        let ids = superseded.remove(&target.id).unwrap_or_default();
        change_lines(conn, now, target, (&lines, &ids)).await?;
    }
    for (invoice_id, ids) in superseded {
        let invoice = get(conn, &invoice_id).await?;
        change_lines(conn, now, &invoice, (&[], &ids)).await?;
    }
    metrics::lines_billed(u64::try_from(lines.len()).unwrap_or(0));
    Ok(())
}

async fn change_lines(
    conn: &mut Conn,
    now: Timestamp,
    invoice: &Invoice,
    (added, superseded): (&[Line], &[LineId]),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: "invoice",
        aggregate_id: invoice.id.to_string(),
        event_type: "InvoiceLinesChanged",
        data: serde_json::json!({ "added": json_of(&added), "superseded": json_of(&superseded) }),
    };
    let version = events::append(conn, now, invoice.version, event).await?;
    for id in superseded {
        store::supersede_line(conn, id).await?;
    }
    for line in added {
        store::insert_line(conn, &invoice.id, line).await?;
    }
    store::set_invoice_version(conn, &invoice.id, (invoice.version, version)).await
}

/// What of a trip is billed for good.
pub(super) struct BilledTrip {
    /// The final invoice it is on; none when it is on no final one.
    pub(super) invoice_id: Option<InvoiceId>,
    /// Its lines there and on notes, oldest first.
    pub(super) lines: Vec<Line>,
}

/// What is billed for one component.
struct Billed {
    amount_minor: i64,
    quantity: Decimal,
    unit_price: Decimal,
    trip_revision: i64,
    invoice_line_id: Option<LineId>,
}

impl BilledTrip {
    fn by_component(&self) -> BTreeMap<ComponentType, Billed> {
        let mut billed: BTreeMap<ComponentType, Billed> = BTreeMap::new();
        for line in &self.lines {
            let of_invoice = || match line.kind {
                LineKind::Usage => Some(line.id.clone()),
                LineKind::Correction => line.corrects_line_id.clone(),
            };
            let entry = billed.entry(line.component).or_insert_with(|| Billed {
                amount_minor: 0,
                quantity: Decimal::ZERO,
                unit_price: Decimal::ZERO,
                trip_revision: 0,
                invoice_line_id: of_invoice(),
            });
            entry.amount_minor += line.amount_minor;
            entry.quantity = line.quantity;
            entry.unit_price = line.unit_price;
            entry.trip_revision = line.trip_revision;
        }
        billed
    }
}

/// The lines of a trip of which no final invoice bills anything.
fn usage_lines(
    now: Timestamp,
    (trip, organization): (&Trip, &Organization),
    tariff: &Tariff,
    rated: Vec<RatedComponent>,
) -> Vec<Line> {
    let started = local_text(trip.start_time, &organization.time_zone);
    rated.into_iter().map(|part| line_of(now, (trip, &started), tariff, part)).collect()
}

/// What a revision changes against what is billed for good, a line a component that differs.
fn correction_lines(
    now: Timestamp,
    (trip, organization): (&Trip, &Organization),
    tariff: &Tariff,
    (mut rated, billed): (Vec<RatedComponent>, &BilledTrip),
) -> Vec<NoteLine> {
    let started = local_text(trip.start_time, &organization.time_zone);
    let before = billed.by_component();
    let last_revision = billed.lines.iter().map(|l| l.trip_revision).max().unwrap_or(0);
    // Components that the revision has no more are taken back.
    for (component, was) in &before {
        if rated.iter().all(|r| r.component != *component) {
            rated.push(RatedComponent::nothing_of(*component, was.unit_price));
        }
    }
    let mut lines = Vec::new();
    for part in rated {
        let was = before.get(&part.component);
        let billed_before_minor = was.map_or(0, |b| b.amount_minor);
        if part.amount_minor == billed_before_minor {
            continue;
        }
        let mut line = line_of(now, (trip, &started), tariff, part);
        line.kind = LineKind::Correction;
        line.description = format!("Correction: {}", line.description);
        line.amount_minor -= billed_before_minor;
        line.billed_before_minor = billed_before_minor;
        line.corrects_line_id = was.and_then(|b| b.invoice_line_id.clone());
        lines.push(NoteLine {
            line,
            trip_revision_before: was.map_or(last_revision, |b| b.trip_revision),
            quantity_before: was.map_or(Decimal::ZERO, |b| b.quantity),
        });
    }
    lines
}

fn line_of(now: Timestamp, (trip, started): (&Trip, &str), tariff: &Tariff, part: RatedComponent) -> Line {
    let name = match part.component {
        ComponentType::Flat => "Trip",
        ComponentType::Distance => "Distance",
        ComponentType::Time => "Time",
        ComponentType::Idle => "Idling",
        ComponentType::Energy => "Energy",
        ComponentType::Minimum => "Minimum price",
        ComponentType::Maximum => "Maximum price",
    };
    Line {
        id: LineId::new(now),
        kind: LineKind::Usage,
        trip_id: trip.id.clone(),
        trip_revision: trip.revision,
        trip_start_time: trip.start_time,
        trip_end_time: trip.end_time,
        vehicle_id: trip.vehicle_id.clone(),
        description: format!("{name}, {} on {started}", trip.vehicle_id),
        component: part.component,
        quantity: part.quantity,
        unit: part.unit.to_owned(),
        unit_price: part.unit_price,
        amount_minor: part.amount_minor,
        billed_before_minor: 0,
        corrects_line_id: None,
        month: part.month,
        tax_percent: tariff.terms.tax_percent.normalize(),
        tariff_id: tariff.id.clone(),
        tariff_version: tariff.version,
        lake_version: trip.lake_version,
        evidence_sql: evidence::sql_of(trip),
        row_hash: evidence::hash_of_trip(trip),
    }
}

fn local_text(time: Timestamp, zone_name: &str) -> String {
    match (jiff::Timestamp::from_microsecond(time.0), TimeZone::get(zone_name)) {
        (Ok(moment), Ok(zone)) => moment.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M").to_string(),
        _ => time.to_string(),
    }
}

/// The calendar month of a zone that a time is in, and the start of the next: `[start, end)`.
pub(crate) fn month_of(time: Timestamp, zone_name: &str) -> Option<(Timestamp, Timestamp)> {
    let zone = TimeZone::get(zone_name).ok()?;
    let first = jiff::Timestamp::from_microsecond(time.0)
        .ok()?
        .to_zoned_datetime(zone.clone())
        .date()
        .first_of_month();
    let next = first.checked_add(1.month()).ok()?;
    let start = first.to_zoned_datetime(zone.clone()).ok()?.timestamp();
    let end = next.to_zoned_datetime(zone).ok()?.timestamp();
    Some((Timestamp(start.as_microsecond()), Timestamp(end.as_microsecond())))
}

/// The draft of the first month from `time` on that is not final; opened if there is none.
pub(super) async fn open_for(
    conn: &mut Conn,
    now: Timestamp,
    organization: &Organization,
    time: Timestamp,
) -> Result<Invoice, DomainError> {
    let mut within = time;
    for _ in 0..MONTHS_MAX {
        let stored = || DomainError::Stored { what: "organization", id: organization.id.to_string() };
        let (start, end) = month_of(within, &organization.time_zone).ok_or_else(stored)?;
        match store::invoice_of_month(conn, &organization.id, start).await? {
            None => return open(conn, now, organization, (start, end)).await,
            Some(invoice) if invoice.status == InvoiceStatus::Draft => return Ok(invoice),
            Some(_) => within = end,
        }
    }
    Err(DomainError::Conflict(format!("{} has no month left to bill in", organization.name)))
}

async fn open(
    conn: &mut Conn,
    now: Timestamp,
    organization: &Organization,
    (start, end): (Timestamp, Timestamp),
) -> Result<Invoice, DomainError> {
    let exponent = iso_currency::Currency::from_code(&organization.currency).and_then(|c| c.exponent());
    let invoice = Invoice {
        id: InvoiceId::new(now),
        number: None,
        organization_id: organization.id.clone(),
        organization_name: organization.name.clone(),
        status: InvoiceStatus::Draft,
        period_start: start,
        period_end: end,
        time_zone: organization.time_zone.clone(),
        currency: organization.currency.clone(),
        currency_exponent: exponent.map_or(0, u32::from),
        subtotal_minor: 0,
        tax_minor: 0,
        total_minor: 0,
        taxes: Vec::new(),
        noted_minor: 0,
        paid_minor: 0,
        due_minor: 0,
        line_count: 0,
        version: 1,
        created_at: now,
        finalized_at: None,
        paid_at: None,
        voided_at: None,
        void_reason: None,
        due_at: None,
        is_overdue: false,
        overdue_at: None,
        uncollectible_at: None,
    };
    let event = NewEvent {
        aggregate_type: "invoice",
        aggregate_id: invoice.id.to_string(),
        event_type: "InvoiceOpened",
        data: json_of(&invoice),
    };
    events::append(conn, now, 0, event).await?;
    store::insert_invoice(conn, &invoice).await?;
    Ok(invoice)
}

/// Opens a draft for a month by hand.
pub async fn create(conn: &mut Conn, now: Timestamp, new: &NewInvoice) -> Result<Invoice, DomainError> {
    const WHAT: &str = "the invoice";
    let id: OrganizationId = id_of(WHAT, "organization_id", &new.organization_id)?;
    let organization = match users::get(conn, &id).await {
        Err(DomainError::NotFound { .. }) => {
            return Err(DomainError::invalid(
                WHAT,
                "organization_id",
                format!("there is no organization {id}"),
            ));
        }
        other => other?,
    };
    let mut faults = Faults::default();
    let start = faults.time("period_start", &new.period_start);
    let end = faults.time("period_end", &new.period_end);
    if let (Some(start), Some(end)) = (start, end) {
        match month_of(start, &organization.time_zone) {
            Some(month) if month == (start, end) => {}
            Some((s, e)) => faults.add(
                "period_start",
                format!(
                    "and period_end must be a calendar month of {}, such as {s} and {e}",
                    organization.time_zone
                ),
            ),
            None => faults.add("period_start", "is out of range"),
        }
    }
    faults.finish(WHAT)?;
    let (Some(start), Some(end)) = (start, end) else {
        return Err(DomainError::invalid(WHAT, "period_start", "is missing"));
    };
    if let Some(there) = store::invoice_of_month(conn, &organization.id, start).await? {
        return Err(DomainError::Conflict(format!("invoice {} is of that month already", there.id)));
    }
    open(conn, now, &organization, (start, end)).await
}

/// Makes a draft final: it gets the next number and never changes again.
pub async fn finalize(conn: &mut Conn, now: Timestamp, id: &InvoiceId) -> Result<Invoice, DomainError> {
    let invoice = get(conn, id).await?;
    let refusal = match invoice.status {
        InvoiceStatus::Draft => None,
        InvoiceStatus::Finalized | InvoiceStatus::Paid => Some("is final already"),
        InvoiceStatus::Void => Some("is void; its trips are on a draft again"),
    };
    if let Some(refusal) = refusal {
        return Err(DomainError::Conflict(format!("invoice {id} {refusal}")));
    }
    if invoice.line_count == 0 {
        return Err(DomainError::Conflict(format!(
            "invoice {id} has no lines; there is nothing to make final"
        )));
    }
    let number = store::next_number(conn).await?;
    let counting = dunning::policy::counting(conn, &invoice.organization_id).await?;
    let due_at = dunning::due_at(now, counting.terms.payment_terms_days, &invoice.time_zone);
    let event = NewEvent {
        aggregate_type: "invoice",
        aggregate_id: id.to_string(),
        event_type: "InvoiceFinalized",
        data: serde_json::json!({
            "number": store::number_text(number), "subtotal_minor": invoice.subtotal_minor,
            "tax_minor": invoice.tax_minor, "total_minor": invoice.total_minor, "currency": invoice.currency,
            "due_at": due_at,
        }),
    };
    let version = events::append(conn, now, invoice.version, event).await?;
    store::finalize(conn, id, ((invoice.version, version), (now, Some(due_at)), number)).await?;
    let invoice = get(conn, id).await?;
    dunning::open(conn, now, (&invoice, counting)).await?;
    get(conn, id).await
}

/// An invoice with its totals.
pub async fn get(conn: &mut Conn, id: &InvoiceId) -> Result<Invoice, DomainError> {
    store::invoice(conn, id).await?.ok_or_else(|| DomainError::not_found("invoice", id.as_str()))
}

/// An invoice with its lines.
pub async fn get_with_lines(conn: &mut Conn, id: &InvoiceId) -> Result<InvoiceWithLines, DomainError> {
    let invoice = get(conn, id).await?;
    let lines = store::lines_of_invoice(conn, id).await?;
    let charges = store::charges_of_invoice(conn, id).await?;
    Ok(InvoiceWithLines { invoice, lines, charges, notes: notes::of_invoice(conn, id).await? })
}

/// Invoices, newest month first.
pub async fn list(conn: &mut Conn, query: &InvoiceQuery) -> Result<Page<Invoice>, DomainError> {
    let limit = limit_of(query.limit)?;
    let status = query.status.as_deref().unwrap_or_default();
    if !["", "draft", "finalized", "paid", "void"].contains(&status) {
        let message = "must be draft, finalized, paid or void";
        return Err(DomainError::invalid("the query", "status", message));
    }
    let before = Cursor::before(query.cursor.as_deref())?;
    let organization = query.organization_id.as_deref().unwrap_or_default();
    let overdue = match query.is_overdue {
        None => "",
        Some(true) => "yes",
        Some(false) => "no",
    };
    let of = (organization, status, overdue);
    let found = store::invoices_before(conn, of, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |i| Cursor { key: i.period_start.0.to_string(), id: i.id.to_string() }))
}

/// The newest invoice that bills a vehicle, with its lines.
pub async fn latest_of_vehicle(
    conn: &mut Conn,
    organization_id: &OrganizationId,
    vehicle_id: &VehicleId,
) -> Result<Option<InvoiceWithLines>, DomainError> {
    let of = (organization_id.as_str(), "", "");
    for invoice in store::invoices_before(conn, of, ((i64::MAX, String::new()), 100)).await? {
        let found = get_with_lines(conn, &invoice.id).await?;
        if found.lines.iter().any(|l| l.vehicle_id == *vehicle_id) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A line of an invoice; superseded ones too, their evidence stays.
pub async fn line(conn: &mut Conn, id: &InvoiceId, line_id: &LineId) -> Result<(Invoice, Line), DomainError> {
    let invoice = get(conn, id).await?;
    let line = store::line(conn, id, line_id).await?;
    Ok((invoice, line.ok_or_else(|| DomainError::not_found("invoice line", line_id.as_str()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_cut_in_the_organizations_zone() {
        let at = |t: &str| Timestamp::parse(t).unwrap();
        let (start, end) = month_of(at("2026-10-31T23:30:00Z"), "Europe/Copenhagen").unwrap();
        assert_eq!((start, end), (at("2026-10-31T23:00:00Z"), at("2026-11-30T23:00:00Z")));
        // Summer time ends within October.
        let (start, end) = month_of(at("2026-10-31T22:59:59Z"), "Europe/Copenhagen").unwrap();
        assert_eq!((start, end), (at("2026-09-30T22:00:00Z"), at("2026-10-31T23:00:00Z")));
        let (start, _) = month_of(at("2026-01-01T00:30:00Z"), "America/Chicago").unwrap();
        assert_eq!(start, at("2025-12-01T06:00:00Z"));
    }
}
