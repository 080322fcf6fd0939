//! Rows of `signals`: one a sample.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, new_null_array},
    buffer::{BooleanBuffer, NullBuffer},
    datatypes::DataType,
    error::ArrowError,
};
use lake::TableKind;
use wire::{
    batch::{Table, Values},
    catalog::ColumnDef,
    time::Timestamp,
};

use super::{
    groups,
    head::{Head, Names, rows_of},
    per_column::PerColumn,
};
use crate::verify::Verified;

/// What a sample is, besides its time.
#[derive(Clone, Copy)]
struct Sample<'a> {
    signal: i32,
    value: Option<f64>,
    text: Option<&'a str>,
}

/// Samples of one batch, column by column, and the order of their times.
#[derive(Default)]
struct Samples<'a> {
    samples: Vec<Sample<'a>>,
    order: Vec<(Timestamp, u32)>,
}

impl<'a> Samples<'a> {
    fn clear(&mut self) {
        self.samples.clear();
        self.order.clear();
    }

    /// A value of a column for each of these times.
    fn extend(
        &mut self,
        times: impl Iterator<Item = Timestamp>,
        samples: impl Iterator<Item = Option<Sample<'a>>>,
    ) {
        for (ts, sample) in times.zip(samples) {
            let Some(sample) = sample else { continue };
            // A batch has no more cells than these are numbers.
            let place = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
            self.order.push((ts, place));
            self.samples.push(sample);
        }
    }

    fn in_order(&self) -> impl Iterator<Item = &Sample<'a>> {
        self.order.iter().filter_map(|(_, place)| self.samples.get(*place as usize))
    }
}

pub(super) fn rows(batches: &[&Verified]) -> Result<RecordBatch, ArrowError> {
    let all = batches.iter().flat_map(|verified| groups(Table::Signals, verified));
    let count: usize = all.flat_map(|group| &group.columns).map(|column| column.values.len()).sum();
    let mut head = Head::with_capacity(count);
    let (mut names, mut keys) = (Names::default(), PerColumn::default());
    let (mut signal, mut value) = (Vec::with_capacity(count), Vec::with_capacity(count));
    // Most samples are numbers without a text.
    let (mut texts, mut without_value): (Vec<(usize, &str)>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut samples = Samples::default();
    for &verified in batches {
        samples.clear();
        for group in groups(Table::Signals, verified) {
            for column in &group.columns {
                let known =
                    keys.of(&verified.catalog, column.column_id, |def: &ColumnDef| names.key(&def.signal))?;
                let Some((def, signal)) = known else { continue };
                let of = |value, text| Some(Sample { signal, value, text });
                let times = column.present.spans().filter_map(|rows| group.times_us.get(rows)).flatten();
                let times = times.map(|t| verified.batch.base_time.plus_us(*t));
                match &column.values {
                    Values::Raw(raws) => {
                        samples
                            .extend(times, raws.iter().map(|&raw| of(Some(def.scaled(raw)), def.label(raw))));
                    }
                    Values::Number(numbers) => {
                        let finite = |x: &f64| x.is_finite().then_some(*x);
                        samples.extend(times, numbers.iter().map(|x| of(Some(finite(x)?), None)));
                    }
                    Values::Text(texts) => {
                        samples.extend(times, texts.iter().map(|text| of(None, Some(text))));
                    }
                }
            }
        }
        // The order of the table, within a batch: batches mostly follow each other.
        samples.order.sort_unstable();
        head.begin(verified);
        head.extend(samples.order.iter().map(|(ts, _)| *ts));
        for sample in samples.in_order() {
            if let Some(text) = sample.text {
                texts.push((signal.len(), text));
            }
            if sample.value.is_none() {
                without_value.push(signal.len());
            }
            signal.push(sample.signal);
            value.push(sample.value.unwrap_or_default());
        }
    }
    let text = text_column(&texts, signal.len());
    let nulls = nulls_at(&without_value, value.len());
    let value = Float64Array::try_new(value.into(), nulls)?;
    let middle: [ArrayRef; 3] = [names.column(signal)?, Arc::new(value), text];
    rows_of(TableKind::Signals, head.around(middle, true)?)
}

/// The column of texts at these rows, which rise.
fn text_column(texts: &[(usize, &str)], rows: usize) -> ArrayRef {
    if texts.is_empty() {
        return new_null_array(&DataType::Utf8, rows);
    }
    let mut left = texts.iter().copied().peekable();
    let of_row = |row| left.next_if(|(at, _)| *at == row).map(|(_, text)| text);
    Arc::new((0..rows).map(of_row).collect::<StringArray>())
}

/// Which rows have a value, when these do not; they rise.
fn nulls_at(without: &[usize], rows: usize) -> Option<NullBuffer> {
    if without.is_empty() {
        return None;
    }
    let mut left = without.iter().peekable();
    let has_value = (0..rows).map(|row| left.next_if_eq(&&row).is_none());
    Some(NullBuffer::new(has_value.collect::<BooleanBuffer>()))
}
