//! Episodes: moments of a vehicle that are near each other, told as one.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, TimestampMicrosecondType},
};
use lake::schema::timestamp_type;
use serde_json::{Map, Value};
use service::clock::micros;
use wire::{ids::VehicleId, time::Timestamp};

use super::{KEY, TIME, VEHICLE};
use crate::engine::{SqlError, json_columns};

/// What a rule may tell of a moment as a number.
const VALUE: &str = "value";
/// And as a text.
const MESSAGE: &str = "message";

/// A time in which a rule was so.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// Of whom.
    pub vehicle_id: VehicleId,
    /// The column `key`: of what of it. Moments of another are of another episode.
    pub key: Option<String>,
    /// Its first moment.
    pub start: Timestamp,
    /// Its last.
    pub end: Timestamp,
    /// The column `value` of the first moment, if it is a number.
    pub value: Option<f64>,
    /// The column `message` of the first moment, if it is a text.
    pub message: Option<String>,
    /// What else was told of the first moment, by column.
    pub details: Map<String, Value>,
}

/// What a rule told of a period.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// By vehicle, key and time.
    pub episodes: Vec<Episode>,
    /// Of vehicles of which moments were left out as they came too late to be sure of yet: the first such.
    pub held_back: BTreeMap<VehicleId, Timestamp>,
    /// Whether there were more than anybody looks at.
    pub is_truncated: bool,
}

/// Makes episodes of moments that come by vehicle, key and time.
pub(super) struct Fold<'a> {
    quiet_us: i64,
    episodes_max: usize,
    /// Of each vehicle up to when moments are sure.
    until: &'a BTreeMap<VehicleId, Timestamp>,
    found: Found,
    open: Option<Episode>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(
        (quiet, episodes_max): (std::time::Duration, usize),
        until: &'a BTreeMap<VehicleId, Timestamp>,
    ) -> Self {
        Self { quiet_us: micros(quiet), episodes_max, until, found: Found::default(), open: None }
    }

    /// Takes the rows of a batch in.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        let column = |name: &str, of: &DataType| -> Result<ArrayRef, SqlError> {
            let at = batch.schema_ref().index_of(name).map_err(|e| SqlError::internal(&e))?;
            cast(batch.column(at), of).map_err(|e| SqlError::internal(&e))
        };
        let vehicles = column(VEHICLE, &DataType::Utf8)?;
        let times = column(TIME, &timestamp_type())?;
        let keys = match batch.schema_ref().index_of(KEY) {
            Ok(_) => Some(column(KEY, &DataType::Utf8)?),
            Err(_) => None,
        };
        let keys = keys.as_ref().map(|keys| keys.as_string::<i32>());
        let (vehicles, times) =
            (vehicles.as_string::<i32>(), times.as_primitive::<TimestampMicrosecondType>());
        for row in 0..batch.num_rows() {
            if self.found.is_truncated || !times.is_valid(row) {
                continue;
            }
            let Ok(vehicle_id) = vehicles.value(row).parse::<VehicleId>() else { continue };
            let ts = Timestamp(times.value(row));
            if self.until.get(&vehicle_id).is_some_and(|until| ts > *until) {
                self.found.held_back.entry(vehicle_id).or_insert(ts);
                continue;
            }
            let key = keys.filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row));
            if let Some(open) = &mut self.open
                && open.vehicle_id == vehicle_id
                && open.key.as_deref() == key
                && ts.since_us(open.end) <= self.quiet_us
            {
                open.end = ts;
                continue;
            }
            self.close();
            if self.found.episodes.len() == self.episodes_max {
                self.found.is_truncated = true;
                continue;
            }
            let key = key.map(str::to_owned);
            self.open = Some(first(&batch.slice(row, 1), (vehicle_id, key, ts))?);
        }
        Ok(())
    }

    fn close(&mut self) {
        self.found.episodes.extend(self.open.take());
    }

    pub(super) fn finish(mut self) -> Found {
        self.close();
        self.found
    }
}

/// The episode of which a row is the first moment.
fn first(
    row: &RecordBatch,
    (vehicle_id, key, ts): (VehicleId, Option<String>, Timestamp),
) -> Result<Episode, SqlError> {
    let mut episode =
        Episode { vehicle_id, key, start: ts, end: ts, value: None, message: None, details: Map::new() };
    let told = json_columns(row).map_err(|e| SqlError::internal(&e))?;
    for ((field, array), values) in row.schema_ref().fields().iter().zip(row.columns()).zip(told) {
        let told = values.into_iter().next().unwrap_or(Value::Null);
        match field.name().as_str() {
            VEHICLE | TIME | KEY => {}
            VALUE if field.data_type().is_numeric() => {
                let number = cast(array, &DataType::Float64).map_err(|e| SqlError::internal(&e))?;
                let number = number.as_primitive::<Float64Type>();
                let known = number.is_valid(0).then(|| number.value(0));
                episode.value = known.filter(|value| value.is_finite());
            }
            MESSAGE if told.is_string() => episode.message = told.as_str().map(str::to_owned),
            name => {
                episode.details.insert(name.to_owned(), told);
            }
        }
    }
    Ok(episode)
}
