//! Diagnostic messages DM1 and DM2 (J1939-73, 5.7.1 and 5.7.2): lamps and trouble codes.

use super::Spn;
use crate::faults::FaultCode;

/// Bytes before the trouble codes: the lamps and how they flash.
const LAMP_BYTES: usize = 2;
/// Bytes of one trouble code.
const DTC_BYTES: usize = 4;
/// Bytes of a message of one frame.
const FRAME_BYTES: usize = 8;
/// An occurrence count of this is not available (J1939-73, 5.7.1.9).
const OCCURRENCES_NOT_AVAILABLE: u8 = 0x7F;

/// How the 19 bits of an SPN are laid out in a trouble code whose conversion-method bit is set
/// (J1939-73, 5.7.1.7). With the bit clear it is always version 4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpnConversion {
    /// The three old versions cannot be told apart by the message, so the SPN stays unknown.
    #[default]
    Version4,
    /// Most significant bits first.
    Version1,
    /// The upper 16 bits least significant byte first, then the lower three.
    Version2,
    /// Laid out as version 4.
    Version3,
}

/// A lamp's state (J1939-73, 5.7.1.1 to 5.7.1.4), two bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lamp {
    /// Off.
    Off,
    /// On without flashing, or nothing said of it.
    On,
    /// On, flashing once a second.
    SlowFlash,
    /// On, flashing twice a second or faster.
    FastFlash,
    /// The unit has no such lamp, or does not know.
    NotAvailable,
}

/// Which lamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LampKind {
    /// Something other than electronics; protect the vehicle.
    Protect,
    /// Amber warning: need not stop.
    AmberWarning,
    /// Red stop: stop the vehicle.
    RedStop,
    /// Malfunction indicator: emissions.
    MalfunctionIndicator,
}

impl LampKind {
    /// Its place in both bytes.
    fn shift(self) -> u32 {
        match self {
            LampKind::Protect => 0,
            LampKind::AmberWarning => 2,
            LampKind::RedStop => 4,
            LampKind::MalfunctionIndicator => 6,
        }
    }
}

/// The first two bytes of DM1 and DM2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lamps {
    /// States, two bits a lamp.
    pub states: u8,
    /// How they flash, two bits a lamp.
    pub flashes: u8,
}

impl Lamps {
    /// One lamp.
    pub fn lamp(self, kind: LampKind) -> Lamp {
        let two = |byte: u8| (byte >> kind.shift()) & 3;
        match (two(self.states), two(self.flashes)) {
            (0, _) => Lamp::Off,
            (1, 0) => Lamp::SlowFlash,
            (1, 1) => Lamp::FastFlash,
            (1, _) => Lamp::On,
            _ => Lamp::NotAvailable,
        }
    }

    /// The same with a lamp on, without flashing.
    #[must_use]
    pub fn with_on(self, kind: LampKind) -> Self {
        let (mask, on) = (3_u8 << kind.shift(), 1_u8 << kind.shift());
        Self { states: self.states & !mask | on, flashes: self.flashes | mask }
    }

    /// Both bytes as the lake's `status_bits`: states in bits 0 to 7, flashes in bits 8 to 15.
    pub fn status_bits(self) -> u32 {
        u32::from(u16::from_le_bytes([self.states, self.flashes]))
    }
}

/// One trouble code (J1939-73, 5.7.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtc {
    /// What it is about; `None` when the old conversion it is written in is not known.
    pub spn: Option<Spn>,
    /// How it fails, 5 bits.
    pub fmi: u8,
    /// Occurrences up to 126, where the unit counts them.
    pub occurrences: Option<u8>,
    /// As on the bus.
    pub bytes: [u8; DTC_BYTES],
}

impl Dtc {
    pub(super) fn parse(bytes: [u8; DTC_BYTES], conversion: SpnConversion) -> Self {
        let [b1, b2, b3, b4] = bytes;
        let three = u32::from(b3 >> 5);
        let little = u32::from(b1) | u32::from(b2) << 8;
        let big = u32::from(b2) | u32::from(b1) << 8;
        let spn = match (b4 & 0x80 != 0, conversion) {
            (false, _) | (true, SpnConversion::Version3) => Some(little | three << 16),
            (true, SpnConversion::Version1) => Some(big << 3 | three),
            (true, SpnConversion::Version2) => Some(little << 3 | three),
            (true, SpnConversion::Version4) => None,
        };
        let count = b4 & 0x7F;
        Self {
            spn: spn.map(Spn),
            fmi: b3 & 0x1F,
            occurrences: (count != OCCURRENCES_NOT_AVAILABLE).then_some(count),
            bytes,
        }
    }

    /// As a unit of today writes it, in version 4.
    pub fn new(spn: Spn, fmi: u8, occurrences: Option<u8>) -> Self {
        let ([low, middle, high, _], fmi) = ((spn.0 & 0x7_FFFF).to_le_bytes(), fmi & 0x1F);
        let occurrences = occurrences.map(|count| count.min(OCCURRENCES_NOT_AVAILABLE - 1));
        let count = occurrences.unwrap_or(OCCURRENCES_NOT_AVAILABLE);
        Self {
            spn: Some(Spn(spn.0 & 0x7_FFFF)),
            fmi,
            occurrences,
            bytes: [low, middle, high << 5 | fmi, count],
        }
    }

    /// Zeros say that there is none; older units fill with ones (J1939-73, 5.7.1).
    pub(super) fn is_none(bytes: [u8; DTC_BYTES]) -> bool {
        bytes == [0; DTC_BYTES] || bytes == [0xFF; DTC_BYTES] || {
            let dtc = Self::parse(bytes, SpnConversion::Version3);
            dtc.spn == Some(Spn(0)) && dtc.fmi == 0
        }
    }

    /// As technicians write it.
    pub fn text(&self) -> String {
        match self.spn {
            Some(Spn(spn)) => format!("SPN {spn} FMI {}", self.fmi),
            None => {
                let [b1, b2, b3, _] = self.bytes;
                format!("SPN ? ({b1:02X}{b2:02X}{:02X}) FMI {}", b3 & 0xE0, self.fmi)
            }
        }
    }

    /// As the lake keeps it.
    pub fn code(&self, lamps: Lamps) -> FaultCode {
        FaultCode {
            code: self.text(),
            spn: self.spn.map(|spn| spn.0),
            fmi: Some(self.fmi),
            occurrences: self.occurrences,
            status_bits: Some(lamps.status_bits()),
            freeze_frame: None,
        }
    }
}

/// The content of DM1 or DM2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dm {
    /// What the unit's lamps do.
    pub lamps: Lamps,
    /// Its trouble codes; none when there is no fault.
    pub dtcs: Vec<Dtc>,
}

impl Dm {
    /// The bytes of the message: at least a frame, with zeros where there is no code.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = vec![self.lamps.states, self.lamps.flashes];
        self.dtcs.iter().for_each(|dtc| data.extend_from_slice(&dtc.bytes));
        if self.dtcs.is_empty() {
            data.extend_from_slice(&[0; DTC_BYTES]);
        }
        data.resize(data.len().max(FRAME_BYTES), 0xFF);
        data
    }

    /// Reads the bytes of one message, of one frame or of many; `None` when they are too few to
    /// be one. Bytes after the last whole code are filling.
    pub fn parse(data: &[u8], conversion: SpnConversion) -> Option<Self> {
        let (lamps, codes) = data.split_at_checked(LAMP_BYTES)?;
        let (codes, _) = codes.as_chunks::<DTC_BYTES>();
        if codes.is_empty() {
            return None;
        }
        let dtcs = codes.iter().filter(|bytes| !Dtc::is_none(**bytes));
        Some(Self {
            lamps: Lamps { states: lamps[0], flashes: lamps[1] },
            dtcs: dtcs.map(|bytes| Dtc::parse(*bytes, conversion)).collect(),
        })
    }
}
