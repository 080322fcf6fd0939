//! Freeze frames: what the engine did when a fault became active (J1939-73).
//!
//! DM4 (5.7.4) has values fixed by the standard. DM25 (5.7.25) has those that the unit itself
//! lists in DM24 (5.7.24), in the order of that list. Both are told to who asks only.

use serde_json::{Map, Value, json};

use super::{Dtc, Spn, SpnConversion};

/// Bytes of a trouble code.
const DTC_BYTES: usize = 4;
/// Bytes of an entry of DM24.
const ENTRY_BYTES: usize = 4;
/// A length up to here may be one; above it are "error" and "not available" (J1939-71, 5.1.4).
const LENGTH_MAX: u8 = 250;
/// The values that DM4 has in each frame, in this order.
const BASIC: [Spn; 6] = [Spn(899), Spn(102), Spn(190), Spn(92), Spn(110), Spn(84)];

/// What is known of a parameter that freeze frames have: its SPN, its name with its unit, its
/// bytes, and its resolution and offset (J1939-71, 5.2).
struct Parameter {
    spn: Spn,
    name: &'static str,
    bytes: usize,
    resolution: f64,
    offset: f64,
}

const fn parameter(
    spn: u32,
    name: &'static str,
    bytes: usize,
    (resolution, offset): (f64, f64),
) -> Parameter {
    Parameter { spn: Spn(spn), name, bytes, resolution, offset }
}

/// Named and scaled where a frame has them; any other is told by its SPN, as a number.
const PARAMETERS: [Parameter; 8] = [
    parameter(899, "EngineTorqueMode", 1, (1.0, 0.0)),
    parameter(102, "BoostPressure_kpa", 1, (2.0, 0.0)),
    parameter(190, "EngineSpeed_rpm", 2, (0.125, 0.0)),
    parameter(92, "EngineLoad_percent", 1, (1.0, 0.0)),
    parameter(110, "CoolantTemperature_celsius", 1, (1.0, -40.0)),
    parameter(84, "VehicleSpeed_kmh", 2, (1.0 / 256.0, 0.0)),
    parameter(91, "AcceleratorPedal_percent", 1, (0.4, 0.0)),
    parameter(168, "BatteryPotential_v", 2, (0.05, 0.0)),
];

/// A parameter of the frames of a unit, by its DM24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub spn: Spn,
    /// Its bytes.
    pub bytes: u8,
}

/// What a fault found.
#[derive(Debug, Clone, PartialEq)]
pub struct FreezeFrame {
    /// The fault.
    pub dtc: Dtc,
    /// Names and values.
    pub values: Map<String, Value>,
}

/// The parameters that the frames of DM25 have, by the bytes of a DM24: those whose bit for it is
/// clear. None when the unit has no such frames.
pub fn parse_layout(data: &[u8]) -> Vec<Place> {
    let (entries, _fill) = data.as_chunks::<ENTRY_BYTES>();
    let places = entries.iter().filter_map(|&[low, middle, high, bytes]| {
        let spn = u32::from(low) | u32::from(middle) << 8 | u32::from(high >> 5) << 16;
        let is_in_frames = high & 1 == 0;
        let is_one = spn != 0 && (1..=LENGTH_MAX).contains(&bytes);
        (is_in_frames && is_one).then_some(Place { spn: Spn(spn), bytes })
    });
    places.collect()
}

/// The bytes of a DM24 of these, each in the frames and in no other list.
pub fn encode_layout(layout: &[Place]) -> Vec<u8> {
    let entry = |place: &Place| {
        let [low, middle, high, _] = place.spn.0.to_le_bytes();
        [low, middle, high << 5 | 0b1_1110, place.bytes]
    };
    layout.iter().flat_map(entry).collect()
}

/// The frames of a DM4.
pub fn parse_basic(data: &[u8], conversion: SpnConversion) -> Vec<FreezeFrame> {
    let layout: Vec<Place> = BASIC.iter().map(|spn| place(*spn)).collect();
    parse(data, &layout, conversion)
}

/// The frames of a DM25, laid out as the unit's DM24 said; none of a frame that is of another
/// length, as it would be read wrongly.
pub fn parse_expanded(data: &[u8], layout: &[Place], conversion: SpnConversion) -> Vec<FreezeFrame> {
    if layout.is_empty() {
        return Vec::new();
    }
    let mut frames = parse(data, layout, conversion);
    frames.retain(|frame| !frame.values.contains_key(MORE));
    frames
}

/// What a maker adds after the values of the standard, as it is.
const MORE: &str = "more";

fn place(spn: Spn) -> Place {
    let bytes = known(spn).map_or(1, |parameter| parameter.bytes);
    Place { spn, bytes: u8::try_from(bytes).unwrap_or(1) }
}

fn known(spn: Spn) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.spn == spn)
}

fn parse(data: &[u8], layout: &[Place], conversion: SpnConversion) -> Vec<FreezeFrame> {
    let (mut rest, mut frames) = (data, Vec::new());
    while let Some((&length, after)) = rest.split_first() {
        // No frame, or the filling of the last packet.
        if length == 0 || length > LENGTH_MAX {
            break;
        }
        // A frame that is cut short is none.
        let Some((frame, next)) = after.split_at_checked(usize::from(length)) else { break };
        rest = next;
        let Some((dtc, values)) = frame.split_first_chunk::<DTC_BYTES>() else { continue };
        if Dtc::is_none(*dtc) {
            continue;
        }
        if let Some(values) = read(values, layout) {
            frames.push(FreezeFrame { dtc: Dtc::parse(*dtc, conversion), values });
        }
    }
    frames
}

fn read(mut data: &[u8], layout: &[Place]) -> Option<Map<String, Value>> {
    let mut values = Map::new();
    for place in layout {
        let (bytes, rest) = data.split_at_checked(usize::from(place.bytes))?;
        data = rest;
        if let Some((name, value)) = value(place.spn, bytes) {
            values.insert(name, value);
        }
    }
    if !data.is_empty() {
        values.insert(MORE.to_owned(), json!(hex(data)));
    }
    Some(values)
}

/// A value by its name; `None` where the unit has none: its highest byte is 0xFE (error) or 0xFF
/// (not available; J1939-71, 5.1.4).
fn value(spn: Spn, bytes: &[u8]) -> Option<(String, Value)> {
    if bytes.last().is_none_or(|highest| *highest >= 0xFE) {
        return None;
    }
    let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Some(match known(spn).filter(|parameter| parameter.bytes == bytes.len()) {
        Some(parameter) => {
            // At most two bytes: exact.
            #[allow(clippy::cast_precision_loss, reason = "two bytes at most")]
            let scaled = number as f64 * parameter.resolution + parameter.offset;
            (parameter.name.to_owned(), json!(scaled))
        }
        None if bytes.len() <= size_of::<u64>() => (format!("SPN {}", spn.0), json!(number)),
        None => (format!("SPN {}", spn.0), json!(hex(bytes))),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The bytes of a DM4 or DM25 of these frames, of each its trouble code and the bytes of its
/// values.
pub fn encode(frames: &[(Dtc, Vec<u8>)]) -> Vec<u8> {
    if frames.is_empty() {
        return vec![0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF];
    }
    let mut data = Vec::new();
    for (dtc, values) in frames {
        data.push(u8::try_from(DTC_BYTES + values.len()).unwrap_or(LENGTH_MAX));
        data.extend_from_slice(&dtc.bytes);
        data.extend_from_slice(values);
    }
    data
}

#[cfg(test)]
mod tests;
