//! Units: what a DBC or log calls them, turned into the one unit VSS asks for.

/// A linear conversion: `to = from * scale + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    /// Factor.
    pub scale: f64,
    /// Added after the factor.
    pub offset: f64,
}

/// No change.
pub const IDENTITY: Conversion = Conversion { scale: 1.0, offset: 0.0 };

/// (spelling, quantity, scale to the quantity's base, offset to it). Bases: m, m/s, m/s^2,
/// degrees, K, Pa, rpm, percent, J, W, V, A, l, l/h, s, kg.
#[rustfmt::skip]
const UNITS: &[(&str, &str, f64, f64)] = &[
    ("m", "length", 1.0, 0.0), ("km", "length", 1000.0, 0.0), ("mm", "length", 0.001, 0.0),
    ("cm", "length", 0.01, 0.0), ("mi", "length", 1609.344, 0.0), ("mile", "length", 1609.344, 0.0),
    ("miles", "length", 1609.344, 0.0), ("ft", "length", 0.3048, 0.0),
    ("m/s", "speed", 1.0, 0.0), ("km/h", "speed", 1.0 / 3.6, 0.0), ("kph", "speed", 1.0 / 3.6, 0.0),
    ("kmh", "speed", 1.0 / 3.6, 0.0), ("mph", "speed", 0.44704, 0.0),
    ("m/s^2", "acceleration", 1.0, 0.0), ("m/s2", "acceleration", 1.0, 0.0), ("m/s²", "acceleration", 1.0, 0.0),
    ("g", "acceleration", 9.806_65, 0.0),
    ("degrees", "angle", 1.0, 0.0), ("degree", "angle", 1.0, 0.0), ("deg", "angle", 1.0, 0.0), ("°", "angle", 1.0, 0.0),
    ("rad", "angle", 180.0 / std::f64::consts::PI, 0.0),
    ("degrees/s", "angular speed", 1.0, 0.0), ("deg/s", "angular speed", 1.0, 0.0), ("°/s", "angular speed", 1.0, 0.0),
    ("rad/s", "angular speed", 180.0 / std::f64::consts::PI, 0.0),
    ("celsius", "temperature", 1.0, 273.15), ("degc", "temperature", 1.0, 273.15), ("°c", "temperature", 1.0, 273.15),
    ("c", "temperature", 1.0, 273.15), ("deg c", "temperature", 1.0, 273.15), ("k", "temperature", 1.0, 0.0),
    ("degf", "temperature", 5.0 / 9.0, 273.15 - 160.0 / 9.0), ("°f", "temperature", 5.0 / 9.0, 273.15 - 160.0 / 9.0),
    ("pa", "pressure", 1.0, 0.0), ("kpa", "pressure", 1000.0, 0.0), ("mbar", "pressure", 100.0, 0.0),
    ("bar", "pressure", 100_000.0, 0.0), ("psi", "pressure", 6_894.757_293_168, 0.0),
    ("rpm", "rotation", 1.0, 0.0), ("1/min", "rotation", 1.0, 0.0), ("u/min", "rotation", 1.0, 0.0),
    ("percent", "share", 1.0, 0.0), ("%", "share", 1.0, 0.0), ("pct", "share", 1.0, 0.0),
    ("j", "energy", 1.0, 0.0), ("kwh", "energy", 3_600_000.0, 0.0), ("wh", "energy", 3600.0, 0.0),
    ("w", "power", 1.0, 0.0), ("kw", "power", 1000.0, 0.0),
    ("v", "voltage", 1.0, 0.0), ("mv", "voltage", 0.001, 0.0),
    ("a", "current", 1.0, 0.0), ("ma", "current", 0.001, 0.0),
    ("l", "volume", 1.0, 0.0), ("ml", "volume", 0.001, 0.0), ("gal", "volume", 3.785_411_784, 0.0),
    ("l/h", "volume flow", 1.0, 0.0), ("lph", "volume flow", 1.0, 0.0), ("ml/s", "volume flow", 3.6, 0.0),
    ("g/s", "mass flow", 1.0, 0.0), ("grams/sec", "mass flow", 1.0, 0.0),
    ("s", "time", 1.0, 0.0), ("sec", "time", 1.0, 0.0), ("ms", "time", 0.001, 0.0), ("min", "time", 60.0, 0.0),
    ("h", "time", 3600.0, 0.0), ("kg", "mass", 1.0, 0.0), ("t", "mass", 1000.0, 0.0),
    ("nm", "torque", 1.0, 0.0),
];

/// The conversion between two spelled units; `None` when either is unknown or they measure
/// different quantities. Equal spellings (and two empty ones) need none.
pub fn conversion(from: &str, to: &str) -> Option<Conversion> {
    let (from, to) = (from.trim().to_lowercase(), to.trim().to_lowercase());
    if from == to {
        return Some(IDENTITY);
    }
    let find = |name: &str| UNITS.iter().find(|unit| unit.0 == name);
    let (a, b) = (find(&from)?, find(&to)?);
    if a.1 != b.1 {
        return None;
    }
    if a.2 == b.2 && a.3 == b.3 {
        return Some(IDENTITY);
    }
    Some(Conversion { scale: a.2 / b.2, offset: (a.3 - b.3) / b.2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_between_units_of_one_quantity_only() {
        assert_eq!(conversion("deg", "degrees"), Some(IDENTITY));
        let c = conversion("m/s", "km/h").unwrap();
        assert!((c.scale - 3.6).abs() < 1e-12 && c.offset == 0.0);
        let f = conversion("degF", "Celsius").unwrap();
        assert!((212.0 * f.scale + f.offset - 100.0).abs() < 1e-9);
        assert_eq!(conversion("km", "km/h"), None);
        assert_eq!(conversion("furlong", "m"), None);
    }
}
