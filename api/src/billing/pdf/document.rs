//! What stands on a document, every text as it is printed. Pure: the same invoice makes the same document, whenever.

use serde::Serialize;
use url::Url;
use wire::time::Timestamp;

use super::figures::{amount, day, day_before, decimal, period};
use crate::{
    billing::{
        charges::Charge,
        notes::{Note, NoteKind, NoteLine, NoteWithLines},
        types::{Invoice, InvoiceStatus, InvoiceWithLines, Line, LineKind, TaxLine},
    },
    config::{BillingSettings, SellerConfig},
};

/// Digits of a hash that are printed.
const HASH_LEN: usize = 10;

/// A document as the template reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Document {
    /// `Invoice`, `Credit note`.
    pub(super) title: &'static str,
    /// None of a draft.
    pub(super) number: Option<String>,
    /// Of the file: with the number and who made it.
    pub(super) name: String,
    /// `Draft`, `Void`, `Paid`: on every page.
    pub(super) stamp: Option<&'static str>,
    pub(super) seller: Option<Seller>,
    pub(super) customer: String,
    pub(super) facts: Vec<Fact>,
    /// What matters most, in one line.
    pub(super) headline: String,
    pub(super) remarks: Vec<String>,
    pub(super) currency: String,
    pub(super) rows: Vec<Row>,
    /// Why there are none.
    pub(super) nothing: &'static str,
    pub(super) sums: Vec<Sum>,
    pub(super) payment: Option<Payment>,
    /// What the small type of the rows means.
    pub(super) explanation: &'static str,
    pub(super) footer: Vec<String>,
}

/// Who sends it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Seller {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

/// A label and what it is of this document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) description: String,
    /// Where it comes from, in small type.
    pub(super) proof: String,
    /// Where that is shown.
    pub(super) url: Option<String>,
    pub(super) quantity: String,
    pub(super) unit_price: String,
    pub(super) tax: String,
    pub(super) amount: String,
}

/// A line below the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Sum {
    pub(super) label: String,
    pub(super) amount: String,
    pub(super) is_strong: bool,
}

/// How to pay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Payment {
    pub(super) heading: String,
    pub(super) facts: Vec<Fact>,
    pub(super) lines: Vec<String>,
}

/// An invoice.
pub(super) fn of_invoice(found: &InvoiceWithLines, settings: &BillingSettings) -> Document {
    let InvoiceWithLines { invoice, lines, charges, notes } = found;
    let at = Place { zone: &invoice.time_zone, exponent: invoice.currency_exponent, settings };
    let title = if invoice.status == InvoiceStatus::Draft { "Draft invoice" } else { "Invoice" };
    let mut facts = Vec::new();
    if let Some(number) = &invoice.number {
        facts.push(Fact { label: "Number", value: number.clone() });
    }
    if let Some(finalized_at) = invoice.finalized_at {
        facts.push(Fact { label: "Issued", value: day(finalized_at, at.zone) });
    }
    let of = period(invoice.period_start, invoice.period_end, at.zone);
    facts.push(Fact { label: "Period", value: of });
    if let Some(due_at) = invoice.due_at {
        facts.push(Fact { label: "Due", value: day_before(due_at, at.zone) });
    }
    facts.push(Fact { label: "Currency", value: invoice.currency.clone() });
    let rows = lines.iter().map(|line| {
        let query = format!("line={}", line.id);
        row(line, decimal(line.quantity, 0), (at, at.link(invoice.id.as_str(), &query)))
    });
    Document {
        title,
        number: invoice.number.clone(),
        name: name(title, invoice.number.as_deref().unwrap_or(invoice.id.as_str()), settings),
        stamp: stamp(invoice.status),
        seller: settings.seller.as_ref().map(seller),
        customer: invoice.organization_name.clone(),
        facts,
        headline: headline(invoice, at),
        remarks: remarks(invoice, at),
        currency: invoice.currency.clone(),
        rows: rows.chain(charges.iter().map(|charge| charge_row(charge, at))).collect(),
        nothing: "Nothing was used in this period.",
        sums: sums_of_invoice(invoice, notes, at),
        payment: payment(invoice, at),
        explanation: EXPLANATION,
        footer: settings.seller.as_ref().map_or_else(Vec::new, |s| lines_of(s.footer.as_deref())),
    }
}

/// A credit or debit note, and the invoice that it corrects.
pub(super) fn of_note(found: &NoteWithLines, invoice: &Invoice, settings: &BillingSettings) -> Document {
    let NoteWithLines { note, lines } = found;
    let at = Place { zone: &invoice.time_zone, exponent: note.currency_exponent, settings };
    let title = note_title(note.kind);
    let corrected = note.invoice_number.clone().unwrap_or_else(|| note.invoice_id.to_string());
    let revisions =
        format!("{}, revision {} to {}", note.trip_id, note.trip_revision_before, note.trip_revision);
    let rows = lines.iter().map(|NoteLine { line, quantity_before, .. }| {
        let quantity = format!("{} → {}", decimal(*quantity_before, 0), decimal(line.quantity, 0));
        let query = format!("note={}&line={}", note.id, line.id);
        row(line, quantity, (at, at.link(note.invoice_id.as_str(), &query)))
    });
    let sum = format!("{} {}", note.currency, at.amount(note.total_minor.saturating_abs()));
    let headline = match note.total_minor {
        0 => "Nothing changes in total".to_owned(),
        ..0 => format!("{sum} less than invoiced"),
        1.. => format!("{sum} more than invoiced"),
    };
    let mut sums = subtotal_and_taxes((note.subtotal_minor, note.tax_minor), &note.taxes, at);
    sums.push(at.sum("Total".to_owned(), note.total_minor, true));
    Document {
        title,
        number: Some(note.number.clone()),
        name: name(title, &note.number, settings),
        stamp: None,
        seller: settings.seller.as_ref().map(seller),
        customer: invoice.organization_name.clone(),
        facts: vec![
            Fact { label: "Number", value: note.number.clone() },
            Fact { label: "Issued", value: day(note.created_at, at.zone) },
            Fact { label: "Corrects", value: format!("invoice {corrected}") },
            Fact { label: "Trip", value: revisions },
            Fact { label: "Currency", value: note.currency.clone() },
        ],
        headline,
        remarks: Vec::new(),
        currency: note.currency.clone(),
        rows: rows.collect(),
        nothing: "",
        sums,
        payment: None,
        explanation: EXPLANATION,
        footer: settings.seller.as_ref().map_or_else(Vec::new, |s| lines_of(s.footer.as_deref())),
    }
}

const EXPLANATION: &str = "Each line names the trip and its revision, the tariff’s version, and the first digits of the \
                           SHA-256 of the rows of telemetry that it was rated by.";

/// By what everything on a document is written.
#[derive(Clone, Copy)]
struct Place<'a> {
    zone: &'a str,
    exponent: u32,
    settings: &'a BillingSettings,
}

impl Place<'_> {
    fn amount(&self, minor: i64) -> String {
        amount(minor, self.exponent)
    }

    fn sum(&self, label: String, minor: i64, is_strong: bool) -> Sum {
        Sum { label, amount: self.amount(minor), is_strong }
    }

    /// The console's page of an invoice, where its evidence is shown.
    fn link(&self, invoice_id: &str, query: &str) -> Option<String> {
        let mut url: Url = self.settings.public_url.clone()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend(["invoices", invoice_id]);
        url.set_query(Some(query));
        Some(url.into())
    }
}

fn name(title: &str, number: &str, settings: &BillingSettings) -> String {
    match &settings.seller {
        Some(seller) => format!("{title} {number}, {}", seller.name),
        None => format!("{title} {number}"),
    }
}

fn note_title(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Credit => "Credit note",
        NoteKind::Debit => "Debit note",
    }
}

fn stamp(status: InvoiceStatus) -> Option<&'static str> {
    match status {
        InvoiceStatus::Draft => Some("Draft"),
        InvoiceStatus::Finalized => None,
        InvoiceStatus::Paid => Some("Paid"),
        InvoiceStatus::Void => Some("Void"),
    }
}

fn seller(config: &SellerConfig) -> Seller {
    let mut lines = config.address.clone();
    lines.extend(config.tax_id.as_ref().map(|id| format!("Tax id {id}")));
    lines.extend(config.email.clone());
    Seller { name: config.name.clone(), lines }
}

fn lines_of(text: Option<&str>) -> Vec<String> {
    let lines = text.unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

fn headline(invoice: &Invoice, at: Place<'_>) -> String {
    let of = |minor: i64| format!("{} {}", invoice.currency, at.amount(minor));
    let dated = |word: &str, time: Option<Timestamp>| {
        time.map_or_else(String::new, |time| format!(" {word} {}", day(time, at.zone)))
    };
    match invoice.status {
        InvoiceStatus::Draft => format!("{} so far", of(invoice.total_minor)),
        InvoiceStatus::Void => {
            format!("Void{}: nothing of it is owed", dated("since", invoice.voided_at))
        }
        InvoiceStatus::Paid if invoice.due_minor == 0 => format!("Paid{}", dated("on", invoice.paid_at)),
        InvoiceStatus::Finalized | InvoiceStatus::Paid => match (invoice.due_minor, invoice.due_at) {
            (0, _) => "Nothing is due".to_owned(),
            (..0, _) => format!("{} in your favour", of(invoice.due_minor.saturating_abs())),
            (due, Some(due_at)) => format!("{} due by {}", of(due), day_before(due_at, at.zone)),
            (due, None) => format!("{} due", of(due)),
        },
    }
}

fn remarks(invoice: &Invoice, at: Place<'_>) -> Vec<String> {
    match invoice.status {
        InvoiceStatus::Draft => {
            vec![
                "A draft: lines come and go until it is made final. It has no number and is not to be paid."
                    .to_owned(),
            ]
        }
        InvoiceStatus::Void => {
            let reason = invoice.void_reason.as_ref().map(|reason| format!("Made void: {reason}"));
            reason.into_iter().collect()
        }
        InvoiceStatus::Paid if invoice.due_minor != 0 => {
            let paid_at =
                invoice.paid_at.map(|time| format!("Paid on {}; corrected since.", day(time, at.zone)));
            paid_at.into_iter().collect()
        }
        InvoiceStatus::Finalized | InvoiceStatus::Paid => Vec::new(),
    }
}

fn row(line: &Line, quantity: String, (at, url): (Place<'_>, Option<String>)) -> Row {
    let hash = line.row_hash.get(..HASH_LEN).unwrap_or(&line.row_hash);
    let mut proof = format!(
        "{}, revision {} · tariff v{} · rows {hash}…",
        line.trip_id, line.trip_revision, line.tariff_version,
    );
    if line.kind == LineKind::Correction {
        proof.push_str(&format!(" · {} was billed before", at.amount(line.billed_before_minor)));
    }
    Row {
        description: line.description.clone(),
        proof,
        url,
        quantity: format!("{quantity} {}", line.unit),
        unit_price: decimal(line.unit_price, at.exponent),
        tax: percent(line.tax_percent),
        amount: at.amount(line.amount_minor),
    }
}

fn charge_row(charge: &Charge, at: Place<'_>) -> Row {
    Row {
        description: charge.description.clone(),
        proof: format!("For {}", charge.reference),
        url: None,
        quantity: String::new(),
        unit_price: String::new(),
        tax: percent(charge.tax_percent),
        amount: at.amount(charge.net_minor),
    }
}

fn percent(rate: rust_decimal::Decimal) -> String {
    format!("{} %", decimal(rate, 0))
}

fn subtotal_and_taxes((subtotal_minor, tax_minor): (i64, i64), taxes: &[TaxLine], at: Place<'_>) -> Vec<Sum> {
    let mut sums = vec![at.sum("Subtotal".to_owned(), subtotal_minor, false)];
    if taxes.is_empty() {
        sums.push(at.sum("Tax".to_owned(), tax_minor, false));
    }
    for tax in taxes {
        let label = format!("Tax {} of {}", percent(tax.tax_percent), at.amount(tax.taxable_minor));
        sums.push(at.sum(label, tax.tax_minor, false));
    }
    sums
}

fn sums_of_invoice(invoice: &Invoice, notes: &[Note], at: Place<'_>) -> Vec<Sum> {
    let mut sums = subtotal_and_taxes((invoice.subtotal_minor, invoice.tax_minor), &invoice.taxes, at);
    sums.push(at.sum("Total".to_owned(), invoice.total_minor, true));
    if matches!(invoice.status, InvoiceStatus::Draft | InvoiceStatus::Void) {
        return sums;
    }
    for note in notes {
        let label = format!("{} {}, {}", note_title(note.kind), note.number, day(note.created_at, at.zone));
        sums.push(at.sum(label, note.total_minor, false));
    }
    if invoice.paid_minor != 0 {
        sums.push(at.sum("Paid".to_owned(), invoice.paid_minor.saturating_neg(), false));
    }
    sums.push(at.sum("Amount due".to_owned(), invoice.due_minor, true));
    sums
}

/// Where the money goes, while some is due.
fn payment(invoice: &Invoice, at: Place<'_>) -> Option<Payment> {
    let seller = at.settings.seller.as_ref()?;
    let is_payable = matches!(invoice.status, InvoiceStatus::Finalized | InvoiceStatus::Paid);
    if !is_payable || invoice.due_minor <= 0 || (seller.iban.is_none() && seller.payment_text.is_none()) {
        return None;
    }
    let mut facts = Vec::new();
    if let Some(iban) = &seller.iban {
        facts.push(Fact { label: "IBAN", value: in_fours(iban) });
    }
    if let Some(bic) = &seller.bic {
        facts.push(Fact { label: "BIC", value: bic.clone() });
    }
    if let Some(number) = &invoice.number {
        facts.push(Fact { label: "Reference", value: number.clone() });
    }
    let sum = format!("{} {}", invoice.currency, at.amount(invoice.due_minor));
    let heading = match invoice.due_at {
        Some(due_at) => format!("Please pay {sum} by {}", day_before(due_at, at.zone)),
        None => format!("Please pay {sum}"),
    };
    Some(Payment { heading, facts, lines: lines_of(seller.payment_text.as_deref()) })
}

/// As IBANs are printed.
fn in_fours(iban: &str) -> String {
    let plain: Vec<char> = iban.chars().filter(|c| !c.is_whitespace()).collect();
    plain.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
