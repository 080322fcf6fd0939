//! Which VSS signals make a row of the `readings` table, under which column and unit.

/// The physical kind of a column of `readings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingKind {
    /// A 64-bit float.
    Number,
    /// True where the value is not zero.
    Boolean,
}

/// A measured column of `readings`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadingColumn {
    /// Column name; the unit is its suffix.
    pub name: &'static str,
    /// The signal it is made of.
    pub signal: &'static str,
    /// `column = value_in_the_unit_of_vss * scale`.
    pub scale: f64,
    /// Physical kind.
    pub kind: ReadingKind,
}

const fn number(name: &'static str, signal: &'static str) -> ReadingColumn {
    ReadingColumn { name, signal, scale: 1.0, kind: ReadingKind::Number }
}

const fn scaled(name: &'static str, signal: &'static str, scale: f64) -> ReadingColumn {
    ReadingColumn { name, signal, scale, kind: ReadingKind::Number }
}

/// Every measured column, in table order (design 3.4). Adding one is a schema merge at ingest;
/// none is ever renamed.
pub static COLUMNS: &[ReadingColumn] = &[
    number("latitude", "Vehicle.CurrentLocation.Latitude"),
    number("longitude", "Vehicle.CurrentLocation.Longitude"),
    number("altitude_m", "Vehicle.CurrentLocation.Altitude"),
    number("heading_deg", "Vehicle.CurrentLocation.Heading"),
    number("position_accuracy_m", "Vehicle.CurrentLocation.HorizontalAccuracy"),
    number("speed_kmh", "Vehicle.Speed"),
    scaled("odometer_km", "Vehicle.TraveledDistance", 0.001),
    ReadingColumn {
        name: "ignition_on",
        signal: "Vehicle.IsIgnitionOn",
        scale: 1.0,
        kind: ReadingKind::Boolean,
    },
    number("engine_speed_rpm", "Vehicle.Powertrain.CombustionEngine.Speed"),
    number("engine_load_pct", "Vehicle.Powertrain.CombustionEngine.CalculatedLoad"),
    number("coolant_temperature_c", "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature"),
    number("fuel_level_pct", "Vehicle.Powertrain.FuelSystem.RelativeLevel"),
    number("fuel_rate_lph", "Vehicle.Powertrain.CombustionEngine.FuelRate"),
    number("fuel_used_l", "Vehicle.Powertrain.FuelSystem.AccumulatedConsumption"),
    number("soc_pct", "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"),
    scaled("traction_power_kw", "Vehicle.Powertrain.TractionBattery.CurrentPower", 0.001),
    number("energy_used_kwh", "Vehicle.Powertrain.TractionBattery.AccumulatedConsumedEnergy"),
    number("accel_x_mps2", "Vehicle.Acceleration.Longitudinal"),
    number("accel_y_mps2", "Vehicle.Acceleration.Lateral"),
    number("accel_z_mps2", "Vehicle.Acceleration.Vertical"),
    number("ambient_temperature_c", "Vehicle.Exterior.AirTemperature"),
    number("load_kg", "Vehicle.CargoLoad"),
];

/// The column a signal feeds, by its index in [`COLUMNS`].
pub fn column_of_signal(signal: &str) -> Option<usize> {
    COLUMNS.iter().position(|c| c.signal == signal)
}

/// The column of that name, by its index in [`COLUMNS`].
pub fn column_by_name(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|c| c.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn every_column_is_made_of_a_catalogued_signal() {
        for column in COLUMNS {
            assert!(catalogue::signal(column.signal).is_some(), "{}", column.signal);
        }
    }
}
