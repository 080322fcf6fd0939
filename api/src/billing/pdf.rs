//! Invoices and notes as PDF, for whoever pays them and whoever keeps them ten years.
//!
//! *Owns* nothing: a document is made of what billing has, each time it is asked for, and the same bytes come of the
//! same invoice. `pdf/document.rs` says what stands on it (pure), `pdf/figures.rs` how figures and days are written,
//! `pdf/press.rs` sets it by Typst and the template `pdf/invoice.typ`. What people wrote is data to the template,
//! never a part of it.
//!
//! Bounds: [`LINES_MAX`] lines, [`PRINTING_MAX`] at a time on threads of their own (of long ones one), others wait [`WAIT_MAX`]; whoever
//! waits for one is let go after [`PRINT_TIME_MAX`], and it keeps its place until it is done.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use typst::text::Font;
use wire::time::Timestamp;

mod document;
mod figures;
mod press;

use self::{
    document::Document,
    press::{Press, TEMPLATE},
};
use super::{
    notes::NoteWithLines,
    types::{Invoice, InvoiceWithLines},
};
use crate::{config::BillingSettings, fault::DomainError, text::hex};

/// Lines of one document; a longer invoice is for a machine, which reads CSV.
const LINES_MAX: i64 = 5_000;
/// Documents set at a time.
const PRINTING_MAX: u32 = 2;
/// A longer one, of which each thousand of rows takes a hundred megabytes, is set alone.
const ROWS_LONG: usize = 1_000;
/// Longest wait for a place.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a document, below the api's own limit by default.
const PRINT_TIME_MAX: Duration = Duration::from_secs(25);
/// A word may have so many characters before it may be broken anywhere.
const WORD_LEN_MAX: usize = 40;
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// A document that can be printed.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    /// The file's name without its ending: letters, digits, `-`, `_` and `.` alone.
    pub(crate) file_name: String,
    /// Names what is on it: another tag, other bytes.
    pub(crate) tag: String,
    id: String,
    made_at: Timestamp,
    row_count: usize,
    data: Value,
}

impl Sheet {
    /// An invoice's.
    pub(crate) fn of_invoice(
        found: &InvoiceWithLines,
        settings: &BillingSettings,
    ) -> Result<Self, DomainError> {
        let invoice = &found.invoice;
        let count = i64::try_from(found.lines.len() + found.charges.len()).unwrap_or(i64::MAX);
        check_length(count, &format!("/v1/invoices/{}/csv", invoice.id))?;
        let file_name = file_name(invoice);
        let made_at = invoice.finalized_at.unwrap_or(invoice.created_at);
        let document = document::of_invoice(found, settings);
        Self::of((invoice.id.as_str(), &file_name, made_at), &document, settings)
    }

    /// A note's, with the invoice that it corrects.
    pub(crate) fn of_note(
        found: &NoteWithLines,
        invoice: &Invoice,
        settings: &BillingSettings,
    ) -> Result<Self, DomainError> {
        let note = &found.note;
        let document = document::of_note(found, invoice, settings);
        Self::of((note.id.as_str(), &safe(&note.number), note.created_at), &document, settings)
    }

    fn of(
        (id, file_name, made_at): (&str, &str, Timestamp),
        document: &Document,
        settings: &BillingSettings,
    ) -> Result<Self, DomainError> {
        let unreadable = |e: serde_json::Error| DomainError::Printing(e.to_string());
        let data = serde_json::to_value(document).map_err(unreadable)?;
        let mut hash = Sha256::new();
        let fonts = settings.fonts.iter().map(|font| font.info().family.as_str());
        for part in [env!("CARGO_PKG_VERSION"), TEMPLATE, id, &made_at.to_string()].into_iter().chain(fonts) {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(serde_json::to_vec(&data).map_err(unreadable)?);
        let mut tag = hex(&hash.finalize());
        tag.truncate(32);
        Ok(Self {
            file_name: file_name.to_owned(),
            tag,
            id: id.to_owned(),
            made_at,
            row_count: document.rows.len(),
            data,
        })
    }
}

/// Refuses what is too long to print, and says where it can be had.
pub(crate) fn check_length(line_count: i64, elsewhere: &str) -> Result<(), DomainError> {
    if line_count <= LINES_MAX {
        return Ok(());
    }
    let message = format!(
        "there are {line_count}, and a PDF has at most {LINES_MAX}; take {elsewhere}, which has them all"
    );
    Err(DomainError::invalid("the document", "lines", message))
}

/// What a file of an invoice is called, without its ending.
pub(crate) fn file_name(invoice: &Invoice) -> String {
    match &invoice.number {
        Some(number) => safe(number),
        None => safe(&format!("draft-{}", invoice.id)),
    }
}

/// A name that every system takes for a file.
fn safe(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    name.chars().map(safe).collect::<String>().trim_start_matches('.').to_owned()
}

/// Where documents are printed.
#[derive(Clone)]
pub(crate) struct Printing {
    places: Arc<Semaphore>,
    wait_max: Duration,
    fonts: Vec<Font>,
    press: Arc<OnceLock<Option<Press>>>,
}

impl std::fmt::Debug for Printing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Printing").field("fonts", &self.fonts.len()).finish_non_exhaustive()
    }
}

impl Printing {
    /// With fonts beside its own.
    pub(crate) fn new(fonts: Vec<Font>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(PRINTING_MAX as usize)),
            wait_max: WAIT_MAX,
            fonts,
            press: Arc::default(),
        }
    }

    /// The PDF of a sheet.
    pub(crate) async fn print(&self, sheet: Sheet) -> Result<Vec<u8>, DomainError> {
        let (press, fonts) = (Arc::clone(&self.press), self.fonts.clone());
        let places = if sheet.row_count > ROWS_LONG { PRINTING_MAX } else { 1 };
        self.blocking(places, move || {
            let press = press.get_or_init(|| Press::new(&fonts)).as_ref();
            let press = press.ok_or_else(|| DomainError::Printing("no place for the template".to_owned()))?;
            let data = serde_json::to_vec(&printable(press, "", sheet.data));
            let data = data.map_err(|e| DomainError::Printing(e.to_string()))?;
            press.set((&sheet.id, figures::made(sheet.made_at)), data).map_err(DomainError::Printing)
        })
        .await?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        places: u32,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DomainError> {
        let free = Arc::clone(&self.places).acquire_many_owned(places);
        let waited = tokio::time::timeout(self.wait_max, free).await;
        let place = waited.map_err(|_| DomainError::Busy("too many documents are being printed"))?;
        let gone = |_| DomainError::Printing("the thread ended".to_owned());
        let place = place.map_err(|e| DomainError::Printing(e.to_string()))?;
        let work = move || {
            // Held until the work is done, whether or not anybody still waits for it.
            let _place = place;
            work()
        };
        let printing = tokio::time::timeout(PRINT_TIME_MAX, tokio::task::spawn_blocking(work)).await;
        printing.map_err(|_| DomainError::Busy("the document takes too long to print"))?.map_err(gone)
    }
}

/// The same data with every text as it can be printed, and long words that may be broken.
fn printable(press: &Press, key: &str, value: Value) -> Value {
    match value {
        Value::String(text) if key == "url" => Value::String(text),
        Value::String(text) if key == "name" => Value::String(press.printable(&text)),
        Value::String(text) => Value::String(breakable(&press.printable(&text))),
        Value::Array(values) => values.into_iter().map(|v| printable(press, key, v)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, v)| (name.clone(), printable(press, &name, v))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// A word longer than a column is broken instead of running over the next.
fn breakable(text: &str) -> String {
    let mut broken = String::with_capacity(text.len());
    let mut length = 0;
    for c in text.chars() {
        length = if c == ' ' { 0 } else { length + 1 };
        if length > WORD_LEN_MAX {
            broken.push(ZERO_WIDTH_SPACE);
            length = 1;
        }
        broken.push(c);
    }
    broken
}

#[cfg(test)]
mod tests;
