//! `signal_catalogue`: what signals there are, of VSS and of ours, and the columns of `readings` made of them.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    catalog::{MemTable, TableProvider},
    error::Result,
};
use lake::TableKind;
use wire::{
    catalogue::{OVERLAY, Signal, descriptions, signals},
    readings::{COLUMNS, ReadingColumn},
};

/// Its name.
pub(super) const NAME: &str = "signal_catalogue";

/// The table.
pub(super) fn table() -> Result<Arc<dyn TableProvider>> {
    let of_release = signals().iter().zip(descriptions()).map(|(signal, told)| (signal, *told));
    let mut all: Vec<(&Signal, &str)> = of_release.chain(OVERLAY.iter().map(|signal| (signal, ""))).collect();
    all.sort_by_key(|(signal, _)| signal.path);
    let known = |text: &'static str| (!text.is_empty()).then_some(text);
    let column = |signal: &Signal| COLUMNS.iter().find(|column| column.signal == signal.path);
    let text = |of: &dyn Fn(&(&'static Signal, &'static str)) -> Option<&'static str>| {
        Arc::new(all.iter().map(of).collect::<StringArray>()) as ArrayRef
    };
    let kept_in = |signal: &Signal| match column(signal) {
        Some(_) => TableKind::Readings,
        None => TableKind::Signals,
    };
    let columns = [
        ("signal", text(&|(signal, _)| Some(signal.path))),
        ("unit", text(&|(signal, _)| known(signal.unit))),
        ("datatype", text(&|(signal, _)| Some(signal.datatype))),
        ("description", text(&|(_, told)| known(told))),
        ("kept_in", text(&|(signal, _)| Some(kept_in(signal).name()))),
        ("column_name", text(&|(signal, _)| column(signal).map(|column| column.name))),
        ("column_unit", text(&|(signal, _)| column(signal).and_then(|column| unit(column, signal)))),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, c)| c).collect())?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))
}

/// The unit of a column: the signal's, unless it is scaled to the one in its name.
#[allow(clippy::float_cmp, reason = "a factor that was written as one")]
fn unit(column: &ReadingColumn, signal: &Signal) -> Option<&'static str> {
    let of_name = || match column.name.rsplit('_').next() {
        Some("km") => Some("km"),
        Some("kw") => Some("kW"),
        _ => None,
    };
    if column.scale == 1.0 { (!signal.unit.is_empty()).then_some(signal.unit) } else { of_name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name ends in its unit, and the catalogue says the same.
    #[test]
    fn every_column_has_the_unit_of_its_name() {
        let spelled = [
            ("latitude", "degrees"),
            ("longitude", "degrees"),
            ("m", "m"),
            ("deg", "degrees"),
            ("kmh", "km/h"),
            ("km", "km"),
            ("rpm", "rpm"),
            ("pct", "percent"),
            ("c", "celsius"),
            ("lph", "l/h"),
            ("l", "l"),
            ("kw", "kw"),
            ("kwh", "kwh"),
            ("mps2", "m/s^2"),
            ("kg", "kg"),
        ];
        for column in COLUMNS {
            let signal = wire::catalogue::signal(column.signal).unwrap();
            let end = column.name.rsplit('_').next().unwrap();
            let want = spelled.iter().find(|(suffix, _)| *suffix == end).map(|(_, unit)| *unit);
            let found = unit(column, signal).map(str::to_lowercase);
            assert_eq!(found.as_deref(), want, "{}", column.name);
        }
    }
}
