//! The lines of an invoice as CSV (RFC 4180), for whoever books or checks them by machine: a line each, then the
//! charges. Amounts are decimals of the currency, times RFC 3339 in UTC.

use rust_decimal::Decimal;

use super::types::InvoiceWithLines;
use crate::fault::DomainError;

const HEADER: [&str; 24] = [
    "invoice_id",
    "invoice_number",
    "line_id",
    "kind",
    "description",
    "trip_id",
    "trip_revision",
    "trip_start_time",
    "trip_end_time",
    "vehicle_id",
    "component",
    "quantity",
    "unit",
    "unit_price",
    "currency",
    "amount",
    "tax_percent",
    "billed_before",
    "corrects_line_id",
    "reference",
    "tariff_id",
    "tariff_version",
    "lake_version",
    "row_hash",
];

/// What begins so, a spreadsheet takes for a formula.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The whole file.
pub(super) fn of_invoice(found: &InvoiceWithLines) -> Result<Vec<u8>, DomainError> {
    let invoice = &found.invoice;
    let amount = |minor: i64| Decimal::new(minor, invoice.currency_exponent).to_string();
    let number = invoice.number.clone().unwrap_or_default();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut write = |record: [String; HEADER.len()]| {
        writer.write_record(record).map_err(|e| DomainError::Printing(e.to_string()))
    };
    write(HEADER.map(str::to_owned))?;
    for line in &found.lines {
        write([
            invoice.id.to_string(),
            number.clone(),
            line.id.to_string(),
            line.kind.as_str().to_owned(),
            text(&line.description),
            line.trip_id.to_string(),
            line.trip_revision.to_string(),
            line.trip_start_time.to_string(),
            line.trip_end_time.to_string(),
            text(line.vehicle_id.as_str()),
            line.component.as_str().to_owned(),
            line.quantity.to_string(),
            line.unit.clone(),
            line.unit_price.to_string(),
            invoice.currency.clone(),
            amount(line.amount_minor),
            line.tax_percent.to_string(),
            amount(line.billed_before_minor),
            line.corrects_line_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            String::new(),
            line.tariff_id.to_string(),
            line.tariff_version.to_string(),
            line.lake_version.to_string(),
            line.row_hash.clone(),
        ])?;
    }
    for charge in &found.charges {
        let mut record = std::array::from_fn(|_| String::new());
        let named: [(&str, String); 9] = [
            ("invoice_id", invoice.id.to_string()),
            ("invoice_number", number.clone()),
            ("line_id", charge.id.to_string()),
            ("kind", "charge".to_owned()),
            ("description", text(&charge.description)),
            ("currency", invoice.currency.clone()),
            ("amount", amount(charge.net_minor)),
            ("tax_percent", charge.tax_percent.to_string()),
            ("reference", text(&charge.reference)),
        ];
        for (name, value) in named {
            if let Some(place) = HEADER.iter().position(|column| *column == name) {
                record[place] = value;
            }
        }
        write(record)?;
    }
    writer.into_inner().map_err(|e| DomainError::Printing(e.to_string()))
}

/// What people wrote, so that no spreadsheet calculates it.
fn text(text: &str) -> String {
    if text.starts_with(FORMULA_STARTS) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_people_wrote_is_no_formula() {
        for (written, wanted) in
            [("=1+1", "'=1+1"), ("@x", "'@x"), ("-2", "'-2"), ("car-1", "car-1"), ("", ""), ("a=b", "a=b")]
        {
            assert_eq!(super::text(written), wanted);
        }
    }
}
