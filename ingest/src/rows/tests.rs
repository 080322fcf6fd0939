//! Rows against a plain model: every present value by itself, then sorted.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test: a failure is the message"
)]

use arrow::{
    array::AsArray,
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType},
};
use uuid::Uuid;
use wire::{
    batch::{ClockState, Column, Group, Presence, Values},
    catalog::{Catalog, ValueKind},
    ids::{BootId, CatalogHash, StreamId},
    readings::{COLUMNS, ReadingKind},
    time::Timestamp,
};

use super::*;

/// Numbers by chance, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, of: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % of
    }

    fn signed(&mut self, of: u64) -> i64 {
        self.below(2 * of).cast_signed() - of.cast_signed()
    }
}

/// Columns of a table, their ids with gaps between them.
fn catalog(table: Table) -> Arc<Catalog> {
    let signals: Vec<String> = match table {
        Table::Readings => COLUMNS.iter().map(|c| c.signal.to_owned()).collect(),
        _ => (0..5).map(|i| format!("Vehicle.Signal{i}")).collect(),
    };
    let kinds = [ValueKind::Raw, ValueKind::Number, ValueKind::Text];
    let columns = signals.into_iter().enumerate().map(|(i, signal)| ColumnDef {
        column_id: u32::try_from(i * 2 + 1).unwrap(),
        table,
        signal,
        unit: String::new(),
        scale: 0.25,
        offset: -3.0,
        kind: if table == Table::Readings { ValueKind::Raw } else { kinds[i % 3] },
        labels: (i == 0).then(|| (7, "seven".to_owned())).into_iter().collect(),
    });
    Arc::new(Catalog { vss_release: "6.0".to_owned(), columns: columns.collect() })
}

fn values(kind: ValueKind, count: usize, chance: &mut Chance) -> Values {
    let each = 0..count;
    match kind {
        ValueKind::Raw => Values::Raw(each.map(|_| chance.signed(9)).collect()),
        ValueKind::Number => Values::Number(
            each.map(|_| if chance.below(5) == 0 { f64::NAN } else { chance.below(100) as f64 }).collect(),
        ),
        ValueKind::Text => Values::Text(each.map(|i| format!("text {i}")).collect()),
    }
}

/// Batches of three vehicles that overlap in time, their groups on clocks of their own.
fn batches(table: Table, catalog: &Arc<Catalog>, chance: &mut Chance) -> Vec<Verified> {
    let batch = |sequence: u64, chance: &mut Chance| {
        let vehicle = 1 + chance.below(3);
        let groups = (0..1 + chance.below(3)).map(|_| {
            let rows = chance.below(6) as usize;
            let mut t = chance.signed(2_000_000);
            let times_us = (0..rows).map(|_| (t += chance.below(3).cast_signed() * 500_000, t).1).collect();
            let columns = catalog.columns.iter().filter(|_| chance.below(3) > 0).collect::<Vec<_>>();
            let columns = columns.into_iter().map(|def| {
                let present: Presence = (0..rows).map(|_| chance.below(4) > 0).collect();
                Column {
                    column_id: def.column_id,
                    values: values(def.kind, present.count(), chance),
                    present,
                }
            });
            Group { table, times_us, columns: columns.collect() }
        });
        let groups = groups.collect();
        Verified {
            batch: Batch {
                vehicle_id: format!("van-{vehicle}").parse().unwrap(),
                boot_id: BootId(Uuid::from_u128(1)),
                stream_id: StreamId(Uuid::from_u128(u128::from(vehicle))),
                sequence,
                oldest_sequence: 1,
                catalog_hash: CatalogHash(Uuid::from_u128(2)),
                base_time: Timestamp(1_700_000_000_000_000 + chance.below(3).cast_signed() * 1_500_000),
                monotonic_base_us: 0,
                groups,
                gaps: Vec::new(),
                clock: if sequence.is_multiple_of(4) {
                    ClockState::Corrected
                } else {
                    ClockState::Synchronized
                },
            },
            catalog: Arc::clone(catalog),
            received_at: Timestamp(1_700_000_100_000_000 + sequence.cast_signed()),
            payload_bytes: 0,
        }
    };
    (1..=8).map(|sequence| batch(sequence, chance)).collect()
}

/// The present values of a column of a batch: row, time, number and text.
fn cells<'a>(
    verified: &'a Verified,
    group: &'a Group,
    column: &'a Column,
) -> Vec<(usize, i64, Option<f64>, Option<String>)> {
    let def = verified.catalog.column(column.column_id).unwrap();
    let rows = column.present.present_rows();
    let cell = |(i, row): (usize, usize)| {
        let ts = verified.batch.base_time.0 + group.times_us[row];
        match &column.values {
            Values::Raw(raw) => {
                let label =
                    def.labels.iter().find(|(value, _)| *value == raw[i]).map(|(_, text)| text.clone());
                Some((row, ts, Some(raw[i] as f64 * def.scale + def.offset), label))
            }
            Values::Number(x) if !x[i].is_finite() => None,
            Values::Number(x) => Some((row, ts, Some(x[i]), None)),
            Values::Text(text) => Some((row, ts, None, Some(text[i].clone()))),
        }
    };
    rows.enumerate().filter_map(cell).collect()
}

fn texts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = cast(rows.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
    column.as_string::<i32>().iter().map(|text| text.map(ToOwned::to_owned)).collect()
}

fn numbers(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
}

fn times(rows: &RecordBatch) -> Vec<i64> {
    rows.column_by_name("ts").unwrap().as_primitive::<TimestampMicrosecondType>().values().to_vec()
}

/// What every row of samples has, in the order of the rows.
fn heads(rows: &RecordBatch) -> Vec<(String, i64, i64, Option<String>)> {
    let sequences = rows.column_by_name("sequence").unwrap().as_primitive::<Int64Type>().values().to_vec();
    let vehicles = texts(rows, "vehicle_id").into_iter().map(Option::unwrap);
    vehicles
        .zip(times(rows))
        .zip(sequences)
        .zip(texts(rows, "clock"))
        .map(|(((vehicle, ts), sequence), clock)| (vehicle, ts, sequence, clock))
        .collect()
}

fn clock(verified: &Verified) -> Option<String> {
    verified.batch.clock.word().map(ToOwned::to_owned)
}

#[test]
fn signals_are_every_present_value_by_vehicle_and_time() {
    let catalog = catalog(Table::Signals);
    for seed in 0..200 {
        let batches = batches(Table::Signals, &catalog, &mut Chance(seed));
        let mut expected = Vec::new();
        for verified in &batches {
            for (group, column) in
                verified.batch.groups.iter().flat_map(|g| g.columns.iter().map(move |c| (g, c)))
            {
                let signal = &verified.catalog.column(column.column_id).unwrap().signal;
                for (_, ts, value, text) in cells(verified, group, column) {
                    let batch = &verified.batch;
                    let head = (batch.vehicle_id.to_string(), ts, as_i64(batch.sequence), clock(verified));
                    expected.push((head, signal.clone(), value.map(f64::to_bits), text));
                }
            }
        }
        let Some(rows) = telemetry(Table::Signals, &ByVehicle::of(&batches)).unwrap() else {
            assert!(expected.is_empty(), "seed {seed}");
            continue;
        };
        let heads = heads(&rows);
        assert!(heads.is_sorted_by_key(|(vehicle, ts, ..)| (vehicle.clone(), *ts)), "seed {seed}");
        let signals = texts(&rows, "signal").into_iter().map(Option::unwrap);
        let values = numbers(&rows, "value").into_iter().map(|value| value.map(f64::to_bits));
        let mut found: Vec<_> = heads
            .into_iter()
            .zip(signals)
            .zip(values)
            .zip(texts(&rows, "text"))
            .map(|(((head, signal), value), text)| (head, signal, value, text))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "seed {seed}");
    }
}

#[test]
fn readings_are_every_instant_with_its_present_values() {
    let catalog = catalog(Table::Readings);
    for seed in 0..200 {
        let batches = batches(Table::Readings, &catalog, &mut Chance(seed));
        let mut expected = Vec::new();
        for verified in &batches {
            for group in &verified.batch.groups {
                let mut rows: Vec<Vec<Option<u64>>> = vec![vec![None; COLUMNS.len()]; group.times_us.len()];
                for column in &group.columns {
                    let place = catalog.columns.iter().position(|c| c.column_id == column.column_id).unwrap();
                    for (row, _, value, _) in cells(verified, group, column) {
                        let value = value.unwrap() * COLUMNS[place].scale;
                        let is_set = f64::from(u8::from(value != 0.0));
                        let of_kind = match COLUMNS[place].kind {
                            ReadingKind::Number => value,
                            ReadingKind::Boolean => is_set,
                        };
                        rows[row][place] = Some(of_kind.to_bits());
                    }
                }
                for (t, values) in group.times_us.iter().zip(rows) {
                    let batch = &verified.batch;
                    let ts = batch.base_time.0 + t;
                    let head = (batch.vehicle_id.to_string(), ts, as_i64(batch.sequence), clock(verified));
                    expected.push((head, values));
                }
            }
        }
        let Some(rows) = telemetry(Table::Readings, &ByVehicle::of(&batches)).unwrap() else {
            assert!(expected.is_empty(), "seed {seed}");
            continue;
        };
        let heads = heads(&rows);
        assert!(heads.is_sorted_by_key(|(vehicle, ts, ..)| (vehicle.clone(), *ts)), "seed {seed}");
        let columns: Vec<Vec<Option<u64>>> = COLUMNS
            .iter()
            .map(|column| {
                let numbers = cast(rows.column_by_name(column.name).unwrap(), &DataType::Float64).unwrap();
                numbers.as_primitive::<Float64Type>().iter().map(|x| x.map(f64::to_bits)).collect()
            })
            .collect();
        let of_row = |row: usize| columns.iter().map(|column| column[row]).collect::<Vec<_>>();
        let mut found: Vec<_> =
            heads.into_iter().enumerate().map(|(row, head)| (head, of_row(row))).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "seed {seed}");
    }
}

#[test]
fn faults_are_every_instant_with_the_texts_and_numbers_it_has() {
    let column = |column_id, signal: &str, kind| ColumnDef {
        column_id,
        table: Table::Diagnostics,
        signal: signal.to_owned(),
        unit: String::new(),
        scale: 1.0,
        offset: 0.0,
        kind,
        labels: Vec::new(),
    };
    let columns = vec![column(1, "code", ValueKind::Text), column(2, "spn", ValueKind::Raw)];
    let catalog = Arc::new(Catalog { vss_release: "6.0".to_owned(), columns });
    for seed in 0..200 {
        let batches = batches(Table::Diagnostics, &catalog, &mut Chance(seed));
        let mut expected = Vec::new();
        for verified in &batches {
            for group in &verified.batch.groups {
                let mut rows = vec![(None, None); group.times_us.len()];
                for column in &group.columns {
                    for (row, _, number, text) in cells(verified, group, column) {
                        match column.column_id {
                            1 => rows[row].0 = text,
                            _ => rows[row].1 = number.map(|x| x as i64),
                        }
                    }
                }
                for (t, (code, spn)) in group.times_us.iter().zip(rows) {
                    let batch = &verified.batch;
                    let ts = batch.base_time.0 + t;
                    let head = (batch.vehicle_id.to_string(), ts, as_i64(batch.sequence), clock(verified));
                    expected.push((head, code, spn));
                }
            }
        }
        let Some(rows) = telemetry(Table::Diagnostics, &ByVehicle::of(&batches)).unwrap() else {
            assert!(expected.is_empty(), "seed {seed}");
            continue;
        };
        let spns = rows.column_by_name("spn").unwrap().as_primitive::<Int64Type>().iter();
        let codes = texts(&rows, "code");
        let mut found: Vec<_> = heads(&rows)
            .into_iter()
            .zip(codes)
            .zip(spns)
            .map(|((head, code), spn)| (head, code, spn))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "seed {seed}");
    }
}
