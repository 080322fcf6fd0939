//! Rows of `signals`: one a sample.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanBufferBuilder, Float64Array, RecordBatch, StringBuilder},
    buffer::NullBuffer,
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

struct Sample<'a> {
    ts: Timestamp,
    signal: i32,
    value: Option<f64>,
    text: Option<&'a str>,
}

pub(super) fn rows(batches: &[&Verified]) -> Result<RecordBatch, ArrowError> {
    let mut head = Head::default();
    let (mut names, mut keys, mut signal) = (Names::default(), PerColumn::default(), Vec::new());
    let (mut value, mut has_value) = (Vec::new(), BooleanBufferBuilder::new(0));
    let mut text = StringBuilder::new();
    let mut samples = Vec::new();
    for &verified in batches {
        samples.clear();
        for group in groups(Table::Signals, verified) {
            for column in &group.columns {
                let known =
                    keys.of(&verified.catalog, column.column_id, |def: &ColumnDef| names.key(&def.signal))?;
                let Some((def, signal)) = known else { continue };
                let sample = |t: &i64, value, text| Sample {
                    ts: verified.batch.base_time.plus_us(*t),
                    signal,
                    value,
                    text,
                };
                let times = group.times_us.iter().zip(&column.present).filter(|(_, is)| **is).map(|(t, _)| t);
                match &column.values {
                    Values::Raw(raws) => samples.extend(
                        times.zip(raws).map(|(t, &raw)| sample(t, Some(def.scaled(raw)), def.label(raw))),
                    ),
                    Values::Number(numbers) => {
                        let finite = times.zip(numbers).filter(|(_, x)| x.is_finite());
                        samples.extend(finite.map(|(t, &x)| sample(t, Some(x), None)));
                    }
                    Values::Text(texts) => {
                        samples.extend(times.zip(texts).map(|(t, text)| sample(t, None, Some(text))));
                    }
                }
            }
        }
        // The order of the table, within a batch: batches mostly follow each other.
        samples.sort_by_key(|sample| sample.ts);
        head.begin(verified);
        for sample in &samples {
            head.push(sample.ts);
            signal.push(sample.signal);
            value.push(sample.value.unwrap_or_default());
            has_value.append(sample.value.is_some());
            text.append_option(sample.text);
        }
    }
    let nulls = Some(NullBuffer::new(has_value.finish())).filter(|nulls| nulls.null_count() > 0);
    let value = Float64Array::try_new(value.into(), nulls)?;
    let middle: [ArrayRef; 3] = [names.column(signal)?, Arc::new(value), Arc::new(text.finish())];
    rows_of(TableKind::Signals, head.around(middle, true)?)
}
