//! Who the vehicle is, as its control units tell it: one sample of the VIN, in a batch at once.

use wire::{
    batch::{Column, Group, Table, Values},
    catalog::{Catalog, ColumnDef, ValueKind},
    time::Timestamp,
};

use super::Cut;
use crate::spool::Lane;

/// The VSS signal.
const VIN: &str = "Vehicle.VehicleIdentification.VIN";

/// The column of the VIN in a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VinColumn {
    column_id: u32,
}

impl VinColumn {
    /// The column with this id.
    pub fn at(column_id: u32) -> Self {
        Self { column_id }
    }

    /// The column in a catalogue; `None` when it has none.
    pub fn of(catalog: &Catalog) -> Option<Self> {
        let is_it = |c: &&ColumnDef| c.signal == VIN && c.kind == ValueKind::Text;
        catalog.columns.iter().find(is_it).map(|c| Self { column_id: c.column_id })
    }

    /// What the catalogue says of it.
    pub fn definition(self) -> ColumnDef {
        ColumnDef {
            column_id: self.column_id,
            table: Table::Signals,
            signal: VIN.to_owned(),
            unit: String::new(),
            scale: 1.0,
            offset: 0.0,
            kind: ValueKind::Text,
            labels: Vec::new(),
        }
    }

    /// The batch that tells it.
    pub fn cut(self, vin: &str, time: Timestamp) -> Cut {
        let columns = vec![Column::dense(self.column_id, Values::Text(vec![vin.to_owned()]))];
        Cut {
            lane: Lane::SIGNALS,
            base_time: time,
            last_time: time,
            sample_count: 1,
            groups: vec![Group { table: Table::Signals, times_us: vec![0], columns }],
        }
    }
}

/// Whether a text is a VIN: 17 capital letters and digits without I, O and Q (ISO 3779).
pub fn is_vin(text: &str) -> bool {
    text.len() == 17
        && text.bytes().all(|b| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"IOQ".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vin_is_seventeen_letters_and_digits_of_iso_3779() {
        assert!(is_vin("WDB9066351S123456"));
        for text in ["", "WDB9066351S12345", "WDB9066351S1234567", "WDB9066351O123456", "wdb9066351s123456"] {
            assert!(!is_vin(text), "{text}");
        }
    }

    #[test]
    fn its_column_is_of_vss_and_found_again() {
        let definition = VinColumn::at(4).definition();
        assert!(wire::catalogue::signal(&definition.signal).is_some_and(|s| s.datatype == "string"));
        let catalog = Catalog { vss_release: "6.0".to_owned(), columns: vec![definition] };
        assert_eq!(VinColumn::of(&catalog), Some(VinColumn::at(4)));
    }
}
