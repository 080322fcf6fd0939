//! Who has which source address: the names that units claim them with (J1939-81), and what the
//! agent calls a unit.
//!
//! A unit is called by the preferred address it had when it was first heard, `engine-1 (SA 0)`.
//! If it has claimed the address with a NAME, it keeps being called so when it moves to another.
//! A unit on an address that the standard prefers for nothing is called by its NAME's function.

use std::collections::HashMap;

use super::SourceAddress;

/// Most names remembered on one bus: one an address.
const NAME_COUNT_MAX: usize = 254;

/// The 64-bit NAME of a unit (J1939-81, 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub u64);

impl Name {
    /// The NAME of an off-vehicle gateway, which a telematics unit is: function 28 of all
    /// industries (J1939-81, table B11), that takes any free address when its own is taken.
    /// `manufacturer` has 11 bits and `identity` 21; what is above is cut off.
    pub fn off_vehicle_gateway(manufacturer: u16, identity: u32) -> Self {
        const FUNCTION: u64 = 28;
        let (manufacturer, identity) = (u64::from(manufacturer) & 0x7FF, u64::from(identity) & 0x1F_FFFF);
        Self(1 << 63 | FUNCTION << 40 | manufacturer << 21 | identity)
    }

    #[allow(clippy::cast_possible_truncation, reason = "masked to at most 21 bits")]
    fn bits(self, from: u32, count: u32) -> u32 {
        ((self.0 >> from) & ((1 << count) - 1)) as u32
    }

    /// Identity number, 21 bits, given by the maker.
    pub fn identity(self) -> u32 {
        self.bits(0, 21)
    }

    /// Manufacturer code, 11 bits, given by the SAE.
    pub fn manufacturer(self) -> u32 {
        self.bits(21, 11)
    }

    /// Which of the units that make up one function, from 0.
    pub fn ecu_instance(self) -> u32 {
        self.bits(32, 3)
    }

    /// Which of the functions of one kind, from 0.
    pub fn function_instance(self) -> u32 {
        self.bits(35, 5)
    }

    /// What it does; below 128 the same in every industry.
    pub fn function(self) -> u32 {
        self.bits(40, 8)
    }

    /// Vehicle system, 7 bits.
    pub fn vehicle_system(self) -> u32 {
        self.bits(49, 7)
    }

    /// Which of the vehicle systems of one kind, from 0.
    pub fn vehicle_system_instance(self) -> u32 {
        self.bits(56, 4)
    }

    /// Industry group, 3 bits: 1 is on-highway, 2 agriculture.
    pub fn industry_group(self) -> u32 {
        self.bits(60, 3)
    }

    /// Whether it takes any free address when its own is taken.
    pub fn is_arbitrary_address_capable(self) -> bool {
        self.bits(63, 1) == 1
    }

    /// What it does, for the functions that occur on trucks.
    fn function_name(self) -> Option<&'static str> {
        let i = FUNCTIONS.binary_search_by_key(&self.function(), |f| f.0).ok()?;
        FUNCTIONS.get(i).map(|f| f.1)
    }
}

/// The units of one bus by their addresses.
#[derive(Debug, Default)]
pub struct AddressBook {
    by_address: HashMap<SourceAddress, Name>,
    /// What a named unit is called, since it was first heard.
    called: HashMap<Name, String>,
}

impl AddressBook {
    /// Takes an address claim; of the null address it says that the unit has none.
    pub fn claim(&mut self, source: SourceAddress, name: Name) {
        // A name has one address, an address one name: the claim heard last stands, because a
        // unit that is in the right answers a wrong claim with its own (J1939-81, 4.4.3).
        self.by_address.retain(|_, n| *n != name);
        if source.0 >= SourceAddress::NULL.0 {
            return;
        }
        self.by_address.insert(source, name);
        if self.called.len() >= NAME_COUNT_MAX && !self.called.contains_key(&name) {
            let by_address = &self.by_address;
            self.called.retain(|n, _| by_address.values().any(|here| here == n));
        }
        self.called.entry(name).or_insert_with(|| call(source, Some(name)));
    }

    /// The name of the unit at an address, once it has claimed it.
    pub fn name(&self, source: SourceAddress) -> Option<Name> {
        self.by_address.get(&source).copied()
    }

    /// What the unit at an address is called.
    pub fn called(&self, source: SourceAddress) -> String {
        let known = self.name(source).and_then(|name| self.called.get(&name));
        known.cloned().unwrap_or_else(|| call(source, None))
    }
}

fn call(source: SourceAddress, name: Option<Name>) -> String {
    let SourceAddress(address) = source;
    let preferred = ADDRESSES.binary_search_by_key(&address, |a| a.0).ok().and_then(|i| ADDRESSES.get(i));
    if let Some((_, text)) = preferred {
        return format!("{text} (SA {address})");
    }
    match name.and_then(|n| n.function_name().map(|f| (f, n.function_instance() + 1))) {
        Some((function, instance)) => format!("{function}-{instance} (SA {address})"),
        None => format!("SA {address}"),
    }
}

/// Preferred addresses of all industries (J1939-81, appendix B, table B2), those that send faults.
const ADDRESSES: &[(u8, &str)] = &[
    (0, "engine-1"),
    (1, "engine-2"),
    (2, "turbocharger"),
    (3, "transmission-1"),
    (4, "transmission-2"),
    (5, "shift-console-1"),
    (6, "shift-console-2"),
    (7, "power-takeoff-1"),
    (8, "steering-axle"),
    (9, "drive-axle-1"),
    (10, "drive-axle-2"),
    (11, "brakes"),
    (12, "steer-axle-brakes"),
    (13, "drive-axle-brakes-1"),
    (14, "drive-axle-brakes-2"),
    (15, "engine-retarder"),
    (16, "driveline-retarder"),
    (17, "cruise-control"),
    (18, "fuel-system"),
    (19, "steering"),
    (20, "steer-axle-suspension"),
    (21, "drive-axle-suspension-1"),
    (22, "drive-axle-suspension-2"),
    (23, "instrument-cluster-1"),
    (24, "trip-recorder"),
    (25, "cab-climate-1"),
    (26, "charging-system"),
    (27, "aerodynamics"),
    (28, "navigation"),
    (29, "security"),
    (30, "electrical-system"),
    (31, "starter"),
    (32, "tractor-trailer-bridge-1"),
    (33, "body"),
    (36, "power-takeoff-2"),
    (37, "off-vehicle-gateway"),
    (38, "virtual-terminal"),
    (39, "management-computer-1"),
    (40, "cab-display-1"),
    (41, "exhaust-retarder-1"),
    (42, "headway-control"),
    (43, "on-board-diagnostics"),
    (45, "endurance-brake"),
    (46, "hydraulic-pump"),
    (47, "suspension-1"),
    (48, "pneumatics"),
    (49, "cab-controller-1"),
    (50, "cab-controller-2"),
    (51, "tire-pressure"),
    (52, "ignition-1"),
    (55, "lighting"),
    (61, "exhaust-emission"),
    (62, "vehicle-stability"),
    (64, "suspension-2"),
    (70, "engine-valves"),
    (71, "chassis-1"),
    (72, "chassis-2"),
    (73, "battery-charger"),
    (74, "cellular-unit"),
    (78, "fan-drive"),
    (80, "parking-brake"),
    (81, "aftertreatment-1-intake"),
    (82, "aftertreatment-1-outlet"),
    (83, "safety-restraint-1"),
    (85, "particulate-filter"),
    (249, "service-tool-1"),
    (250, "service-tool-2"),
    (251, "data-logger"),
];

/// Functions of NAMEs of all industries (J1939-81, appendix B, table B11), those that send faults.
const FUNCTIONS: &[(u32, &str)] = &[
    (0, "engine"),
    (1, "auxiliary-power-unit"),
    (2, "electric-propulsion"),
    (3, "transmission"),
    (4, "battery-monitor"),
    (5, "shift-console"),
    (6, "power-takeoff"),
    (7, "steering-axle"),
    (8, "drive-axle"),
    (9, "brakes"),
    (10, "steer-axle-brakes"),
    (11, "drive-axle-brakes"),
    (12, "engine-retarder"),
    (13, "driveline-retarder"),
    (14, "cruise-control"),
    (15, "fuel-system"),
    (16, "steering"),
    (17, "steer-axle-suspension"),
    (18, "drive-axle-suspension"),
    (19, "instrument-cluster"),
    (20, "trip-recorder"),
    (21, "cab-climate"),
    (22, "aerodynamics"),
    (23, "navigation"),
    (24, "security"),
    (25, "network-bridge"),
    (26, "body"),
    (28, "off-vehicle-gateway"),
    (29, "virtual-terminal"),
    (30, "management-computer"),
];

#[cfg(test)]
mod tests;
