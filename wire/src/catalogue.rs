//! The signal vocabulary: COVESA VSS, one pinned release.

/// The VSS release every path is of.
pub const VSS_RELEASE: &str = "6.0";

/// A leaf of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Full path, `Vehicle.Speed`.
    pub path: &'static str,
    /// VSS datatype, `float`.
    pub datatype: &'static str,
    /// VSS unit, empty when it has none.
    pub unit: &'static str,
}

mod table {
    use super::Signal;
    include!(concat!(env!("OUT_DIR"), "/vss.rs"));
}

/// Signals this field needs and VSS 6.0 lacks (its OBD branch left the release), in the manner of
/// a VSS overlay. Sorted by path.
pub static OVERLAY: &[Signal] = &[
    Signal { path: "Vehicle.CargoLoad", datatype: "float", unit: "kg" },
    Signal { path: "Vehicle.CurrentLocation.GNSSReceiver.HDOP", datatype: "float", unit: "" },
    Signal { path: "Vehicle.CurrentLocation.GNSSReceiver.SatellitesUsed", datatype: "uint8", unit: "" },
    Signal { path: "Vehicle.IsIgnitionOn", datatype: "boolean", unit: "" },
    Signal { path: "Vehicle.OBD.DTCCount", datatype: "uint8", unit: "" },
    Signal { path: "Vehicle.OBD.DistanceSinceDTCClear", datatype: "float", unit: "km" },
    Signal { path: "Vehicle.OBD.DistanceWithMIL", datatype: "float", unit: "km" },
    Signal { path: "Vehicle.OBD.IntakeTemp", datatype: "float", unit: "Celsius" },
    Signal { path: "Vehicle.OBD.IsMILOn", datatype: "boolean", unit: "" },
    Signal { path: "Vehicle.OBD.LongTermFuelTrim1", datatype: "float", unit: "percent" },
    Signal { path: "Vehicle.OBD.LongTermFuelTrim2", datatype: "float", unit: "percent" },
    Signal { path: "Vehicle.OBD.RunTime", datatype: "float", unit: "s" },
    Signal { path: "Vehicle.OBD.ShortTermFuelTrim1", datatype: "float", unit: "percent" },
    Signal { path: "Vehicle.OBD.ShortTermFuelTrim2", datatype: "float", unit: "percent" },
    Signal { path: "Vehicle.OBD.TimingAdvance", datatype: "float", unit: "degrees" },
    Signal { path: "Vehicle.OBD.WarmupsSinceDTCClear", datatype: "uint8", unit: "" },
    Signal { path: "Vehicle.OBU.CPU.LoadAverage", datatype: "float", unit: "" },
    Signal { path: "Vehicle.OBU.CPU.Temperature", datatype: "float", unit: "celsius" },
    Signal { path: "Vehicle.OBU.CPU.Usage", datatype: "float", unit: "percent" },
    Signal { path: "Vehicle.OBU.Disk.Free", datatype: "uint32", unit: "MiB" },
    Signal { path: "Vehicle.OBU.Memory.Agent", datatype: "float", unit: "MiB" },
    Signal { path: "Vehicle.OBU.Memory.Used", datatype: "float", unit: "percent" },
    Signal { path: "Vehicle.OBU.Modem.SignalStrength", datatype: "int16", unit: "dBm" },
    Signal { path: "Vehicle.OBU.Network.Received", datatype: "uint32", unit: "KiB" },
    Signal { path: "Vehicle.OBU.Network.Sent", datatype: "uint32", unit: "KiB" },
    Signal { path: "Vehicle.OBU.Uptime", datatype: "uint32", unit: "s" },
    Signal { path: "Vehicle.Powertrain.CombustionEngine.BarometricPressure", datatype: "float", unit: "kPa" },
    Signal { path: "Vehicle.Powertrain.CombustionEngine.CalculatedLoad", datatype: "float", unit: "percent" },
    Signal { path: "Vehicle.Powertrain.CombustionEngine.FuelRate", datatype: "float", unit: "l/h" },
    Signal { path: "Vehicle.Powertrain.CombustionEngine.TorquePercent", datatype: "float", unit: "percent" },
    Signal { path: "Vehicle.Powertrain.FuelSystem.AccumulatedConsumption", datatype: "float", unit: "l" },
];

/// Every leaf of the release, sorted by path; [`OVERLAY`] comes beside it.
pub fn signals() -> &'static [Signal] {
    table::SIGNALS
}

/// What the release says of each of [`signals`], in the same order. A table of its own, so that a program
/// that does not ask for it, as the vehicle's, does not have it.
pub fn descriptions() -> &'static [&'static str] {
    table::DESCRIPTIONS
}

/// The leaf of that exact path, of the release or of the overlay.
pub fn signal(path: &str) -> Option<&'static Signal> {
    let find = |table: &'static [Signal]| {
        table.binary_search_by(|s| s.path.cmp(path)).ok().and_then(|i| table.get(i))
    };
    find(table::SIGNALS).or_else(|| find(OVERLAY))
}

/// The path spelled most like `path`, for an error's remedy.
pub fn nearest(path: &str) -> Option<&'static str> {
    let last = path.rsplit('.').next().unwrap_or(path).to_lowercase();
    table::SIGNALS
        .iter()
        .filter(|s| s.path.rsplit('.').next().is_some_and(|leaf| leaf.to_lowercase() == last))
        .map(|s| s.path)
        .min_by_key(|p| p.len().abs_diff(path.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_release_is_compiled_in() {
        assert_eq!((signals().len(), descriptions().len()), (1267, 1267));
        let speed = signals().iter().position(|s| s.path == "Vehicle.Speed").unwrap();
        assert_eq!(descriptions()[speed], "Vehicle speed.");
        assert!(signals().windows(2).all(|w| w[0].path < w[1].path));
        assert!(OVERLAY.windows(2).all(|w| w[0].path < w[1].path));
        assert!(OVERLAY.iter().all(|s| signals().iter().all(|of_release| of_release.path != s.path)));
        assert_eq!(signal("Vehicle.TraveledDistance").map(|s| s.unit), Some("m"));
        assert_eq!(signal("Vehicle.TravelledDistance"), None);
        assert_eq!(nearest("Vehicle.Foo.Altitude"), Some("Vehicle.CurrentLocation.Altitude"));
    }
}
