//! Rows of the `readings` table as analytics uses them.

use arrow::{
    array::{
        Array, AsArray, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    compute::cast,
    datatypes::{DataType, Float64Type, TimestampMicrosecondType},
    error::ArrowError,
};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{row::VehicleState, trips::Reading};

/// The columns trips, stops and events are made of, for a query's SELECT.
pub(crate) const TRIP_COLUMNS: &str = "vehicle_id, ts, latitude, longitude, speed_kmh, odometer_km, ignition_on, \
     engine_speed_rpm, fuel_level_pct, fuel_rate_lph, fuel_used_l, traction_power_kw, energy_used_kwh, \
     soc_pct, accel_x_mps2, accel_y_mps2";

/// A batch of readings, its columns at hand; a column it lacks reads as null.
pub(crate) struct Readings {
    vehicle_id: StringArray,
    ts: TimestampMicrosecondArray,
    received_at: Option<TimestampMicrosecondArray>,
    latitude: Option<Float64Array>,
    longitude: Option<Float64Array>,
    heading_deg: Option<Float64Array>,
    speed_kmh: Option<Float64Array>,
    odometer_km: Option<Float64Array>,
    ignition_on: Option<BooleanArray>,
    engine_speed_rpm: Option<Float64Array>,
    fuel_level_pct: Option<Float64Array>,
    fuel_rate_lph: Option<Float64Array>,
    fuel_used_l: Option<Float64Array>,
    soc_pct: Option<Float64Array>,
    traction_power_kw: Option<Float64Array>,
    energy_used_kwh: Option<Float64Array>,
    accel_x_mps2: Option<Float64Array>,
    accel_y_mps2: Option<Float64Array>,
}

fn float(column: Option<&Float64Array>, i: usize) -> Option<f64> {
    column.filter(|c| c.is_valid(i)).map(|c| c.value(i)).filter(|v| v.is_finite())
}

impl Readings {
    /// Of a batch from a file or a query.
    pub(crate) fn of(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &str, to: &DataType| batch.column_by_name(name).map(|c| cast(c, to)).transpose();
        let number = |name: &str| {
            Ok::<_, ArrowError>(
                column(name, &DataType::Float64)?.map(|c| c.as_primitive::<Float64Type>().clone()),
            )
        };
        let time = |name: &str| {
            let cast = column(name, &lake::schema::timestamp_type())?;
            Ok::<_, ArrowError>(cast.map(|c| c.as_primitive::<TimestampMicrosecondType>().clone()))
        };
        let missing = |name: &str| ArrowError::SchemaError(format!("readings without column {name}"));
        Ok(Self {
            vehicle_id: column("vehicle_id", &DataType::Utf8)?
                .ok_or_else(|| missing("vehicle_id"))?
                .as_string::<i32>()
                .clone(),
            ts: time("ts")?.ok_or_else(|| missing("ts"))?,
            received_at: time("received_at")?,
            latitude: number("latitude")?,
            longitude: number("longitude")?,
            heading_deg: number("heading_deg")?,
            speed_kmh: number("speed_kmh")?,
            odometer_km: number("odometer_km")?,
            ignition_on: column("ignition_on", &DataType::Boolean)?.map(|c| c.as_boolean().clone()),
            engine_speed_rpm: number("engine_speed_rpm")?,
            fuel_level_pct: number("fuel_level_pct")?,
            fuel_rate_lph: number("fuel_rate_lph")?,
            fuel_used_l: number("fuel_used_l")?,
            soc_pct: number("soc_pct")?,
            traction_power_kw: number("traction_power_kw")?,
            energy_used_kwh: number("energy_used_kwh")?,
            accel_x_mps2: number("accel_x_mps2")?,
            accel_y_mps2: number("accel_y_mps2")?,
        })
    }

    /// Rows.
    pub(crate) fn len(&self) -> usize {
        self.ts.len()
    }

    /// Whose row.
    pub(crate) fn vehicle(&self, i: usize) -> &str {
        self.vehicle_id.value(i)
    }

    /// When, by the vehicle's clock.
    pub(crate) fn ts(&self, i: usize) -> Timestamp {
        Timestamp(self.ts.value(i))
    }

    /// When, by ours; the vehicle's where the batch does not say.
    pub(crate) fn received_at(&self, i: usize) -> Timestamp {
        match &self.received_at {
            Some(times) if times.is_valid(i) => Timestamp(times.value(i)),
            _ => self.ts(i),
        }
    }

    fn ignition_on(&self, i: usize) -> Option<bool> {
        self.ignition_on.as_ref().filter(|c| c.is_valid(i)).map(|c| c.value(i))
    }

    /// The part trips are made of.
    pub(crate) fn reading(&self, i: usize) -> Reading {
        Reading {
            ts: self.ts(i),
            latitude: float(self.latitude.as_ref(), i),
            longitude: float(self.longitude.as_ref(), i),
            speed_kmh: float(self.speed_kmh.as_ref(), i),
            odometer_km: float(self.odometer_km.as_ref(), i),
            ignition_on: self.ignition_on(i),
            engine_speed_rpm: float(self.engine_speed_rpm.as_ref(), i),
            fuel_level_pct: float(self.fuel_level_pct.as_ref(), i),
            fuel_rate_lph: float(self.fuel_rate_lph.as_ref(), i),
            fuel_used_l: float(self.fuel_used_l.as_ref(), i),
            traction_power_kw: float(self.traction_power_kw.as_ref(), i),
            energy_used_kwh: float(self.energy_used_kwh.as_ref(), i),
            soc_pct: float(self.soc_pct.as_ref(), i),
            accel_x_mps2: float(self.accel_x_mps2.as_ref(), i),
            accel_y_mps2: float(self.accel_y_mps2.as_ref(), i),
        }
    }

    /// The part a live map shows.
    pub(crate) fn state(&self, i: usize, vehicle_id: VehicleId) -> VehicleState {
        VehicleState {
            vehicle_id,
            ts: self.ts(i),
            received_at: self.received_at(i),
            latitude: float(self.latitude.as_ref(), i),
            longitude: float(self.longitude.as_ref(), i),
            heading_deg: float(self.heading_deg.as_ref(), i),
            speed_kmh: float(self.speed_kmh.as_ref(), i),
            ignition_on: self.ignition_on(i),
            engine_speed_rpm: float(self.engine_speed_rpm.as_ref(), i),
            fuel_level_pct: float(self.fuel_level_pct.as_ref(), i),
            soc_pct: float(self.soc_pct.as_ref(), i),
            odometer_km: float(self.odometer_km.as_ref(), i),
        }
    }
}
