//! OBD-II, SAE J1979 over ISO 15765-4: its services as requests and answers.
//!
//! Values of service 01 are not scaled here: [`current_data_frame`] makes a frame of the answer
//! under an id of the agent's own, which `configs/dbc/roadlake-obd.dbc` describes, so that it goes
//! the way of every frame; each formula stands there with its place in the standard.

use std::sync::Arc;

use wire::time::Timestamp;

use crate::{
    agent::NamedBytes,
    dbc::{Dbc, DbcError},
    decode::{CompileDbcError, Decoder},
    frame::{Frame, FrameId, FrameKind},
    isotp::Address,
};

#[cfg(test)]
mod tests;

/// Service 01, J1979 clause 6.1 (ISO 15031-5 8.1).
pub const CURRENT_DATA: u8 = 0x01;
/// Service 02: values when a fault was stored.
pub const FREEZE_FRAME: u8 = 0x02;
/// Service 03: confirmed codes.
pub const CONFIRMED_DTCS: u8 = 0x03;
/// Service 04: clears codes and what belongs to them.
pub const CLEAR: u8 = 0x04;
/// Service 07: codes of this or the last driving cycle.
pub const PENDING_DTCS: u8 = 0x07;
/// Service 09: identification.
pub const VEHICLE_INFORMATION: u8 = 0x09;
/// Service 0A: codes that no tool clears.
pub const PERMANENT_DTCS: u8 = 0x0A;

/// Information types of service 09: the vehicle identification number.
pub const INFO_VIN: u8 = 0x02;
/// The calibration identifications.
pub const INFO_CALIBRATION: u8 = 0x04;
/// The control unit's name.
pub const INFO_ECU_NAME: u8 = 0x0A;

/// Service 02: the code that stored the freeze frame.
pub const PID_FREEZE_DTC: u8 = 0x02;

/// The id of frames made of answers to service 01; the agent's own.
pub const CURRENT_DATA_ID: FrameId = FrameId { raw: 0x1FFF_F100, is_extended: true };

/// Control units that a request to all can reach: ISO 15765-4 table 6 has eight of them.
pub const ECUS_MAX: u8 = 8;

/// How OBD requests are addressed, ISO 15765-4 clause 6.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// 11-bit ids: 7DF to all, 7E0 to 7E7 to one, answers on 7E8 to 7EF.
    Standard,
    /// 29-bit ids: 18DB33F1 to all, 18DAxxF1 to one, answers on 18DAF1xx.
    Extended,
}

/// The tester's address among 29-bit ids (ISO 15765-4 table 8).
const TESTER: u8 = 0xF1;

impl Addressing {
    /// Where requests to all control units go.
    pub fn functional_id(self) -> FrameId {
        match self {
            Addressing::Standard => FrameId { raw: 0x7DF, is_extended: false },
            Addressing::Extended => FrameId { raw: 0x18DB_33F1, is_extended: true },
        }
    }

    /// The address of the control unit whose answer has that id.
    pub fn address_of_answer(self, id: FrameId) -> Option<Address> {
        match (self, id.is_extended) {
            (Addressing::Standard, false) if (0x7E8..=0x7EF).contains(&id.raw) => {
                Some(Address::normal(FrameId { raw: id.raw - 8, is_extended: false }, id))
            }
            (Addressing::Extended, true) if id.raw >> 8 == 0x18_DAF1 => {
                let [.., ecu] = id.raw.to_be_bytes();
                Some(Address::normal_fixed(ecu, TESTER))
            }
            _ => None,
        }
    }

    /// Whether a tester sends on that id: to all, or to one control unit.
    pub fn is_request(self, id: FrameId) -> bool {
        id == self.functional_id()
            || match self {
                Addressing::Standard => !id.is_extended && (0x7E0..=0x7E7).contains(&id.raw),
                Addressing::Extended => {
                    id.is_extended && id.raw & 0xFFFF_00FF == 0x18DA_0000 | u32::from(TESTER)
                }
            }
    }
}

/// The DBC of the answers to service 01.
pub fn dbc() -> NamedBytes {
    NamedBytes::new("roadlake-obd.dbc", include_bytes!("../../configs/dbc/roadlake-obd.dbc").as_slice())
}

/// The map that carries them to VSS.
pub fn map() -> NamedBytes {
    NamedBytes::new("obd.toml", include_bytes!("../../configs/maps/obd.toml").as_slice())
}

/// Asks for a value of now.
pub fn current_data(pid: u8) -> Vec<u8> {
    vec![CURRENT_DATA, pid]
}

/// Asks for a value of freeze frame 0, the one that is required.
pub fn freeze_frame(pid: u8) -> Vec<u8> {
    vec![FREEZE_FRAME, pid, 0]
}

/// Asks for an information type.
pub fn vehicle_information(info_type: u8) -> Vec<u8> {
    vec![VEHICLE_INFORMATION, info_type]
}

/// Asks for a list of codes: service 03, 07 or 0A.
pub fn dtcs(service: u8) -> Vec<u8> {
    vec![service]
}

/// Clears codes, freeze frames and monitors. Only a command may.
pub fn clear() -> Vec<u8> {
    vec![CLEAR]
}

/// A code of two bytes as technicians write it: SAE J2012 clause 4, `P0171`.
pub fn dtc_text(code: [u8; 2]) -> String {
    let [high, low] = code;
    let area = match high >> 6 {
        0 => 'P',
        1 => 'C',
        2 => 'B',
        _ => 'U',
    };
    format!("{area}{:X}{:X}{low:02X}", (high >> 4) & 3, high & 0x0F)
}

/// The codes of a positive answer to `service`; `None` when it is none. Bytes of zero are no code
/// (J1979 6.3.2).
pub fn parse_dtcs(answer: &[u8], service: u8) -> Option<Vec<[u8; 2]>> {
    let [answered, count, codes @ ..] = answer else { return None };
    if *answered != service + crate::uds::ANSWER {
        return None;
    }
    let (codes, _odd) = codes.as_chunks::<2>();
    Some(codes.iter().take(usize::from(*count)).copied().filter(|code| *code != [0, 0]).collect())
}

/// The PIDs or information types that an answer to `00`, `20` and so on up to `E0` says are
/// supported (J1979-DA annex A): the next 32 after the one asked for, highest bit first.
pub fn parse_supported(answer: &[u8]) -> Option<Vec<u8>> {
    let (base, bits) = match answer {
        [service, base, a, b, c, d, ..] if [0x41, 0x49].contains(service) => (*base, [*a, *b, *c, *d]),
        [0x42, base, _frame, a, b, c, d, ..] => (*base, [*a, *b, *c, *d]),
        _ => return None,
    };
    if !base.is_multiple_of(0x20) {
        return None;
    }
    let bits = u32::from_be_bytes(bits);
    let pids = (0_u8..32).filter(|i| bits & (0x8000_0000 >> i) != 0);
    Some(pids.filter_map(|i| base.checked_add(i + 1)).collect())
}

/// The texts of an answer to service 09: of VIN (17 characters), calibration identifications (16
/// each) or control unit name (20), without their fill of zeros (J1979 6.9).
pub fn parse_texts(answer: &[u8]) -> Option<Vec<String>> {
    let [0x49, info_type, _count, text @ ..] = answer else { return None };
    let item_bytes = match *info_type {
        INFO_VIN => 17,
        INFO_CALIBRATION => 16,
        INFO_ECU_NAME => 20,
        _ => return None,
    };
    let clean = |item: &[u8]| {
        let is_shown = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let text: String = item.iter().filter(|byte| is_shown(byte)).copied().map(char::from).collect();
        text.trim().to_owned()
    };
    Some(text.chunks(item_bytes).map(clean).filter(|text| !text.is_empty()).collect())
}

/// A frame of an answer to service 01, for the decoder; `None` when it is none.
pub fn current_data_frame(answer: &[u8], interface: Arc<str>, time: Timestamp) -> Option<Frame> {
    (answer.first() == Some(&0x41)).then_some(())?;
    let kind = if answer.len() > 8 { FrameKind::Fd } else { FrameKind::Data };
    Frame::new(time, interface, CURRENT_DATA_ID, kind, answer)
}

/// Names and values of answers, for freeze frames.
#[derive(Debug)]
pub struct ValueReader {
    decoder: Decoder,
}

/// Why there is no [`ValueReader`]: the DBC that comes with the agent is damaged.
#[derive(Debug, thiserror::Error)]
pub enum ValueReaderError {
    /// It cannot be read.
    #[error("cannot read the DBC of OBD answers")]
    Dbc(#[from] DbcError),
    /// It cannot be compiled.
    #[error("cannot compile the DBC of OBD answers")]
    Compile(#[from] CompileDbcError),
}

impl ValueReader {
    /// Of the DBC that comes with the agent.
    pub fn new() -> Result<Self, ValueReaderError> {
        let file = dbc();
        Ok(Self { decoder: Decoder::compile(&[Dbc::from_bytes(&file.name, &file.bytes)?])? })
    }

    /// Calls `visit` with name, value and unit of each value in an answer to service 01 or 02.
    pub fn values(&self, answer: &[u8], visit: &mut impl FnMut(&str, f64, &str)) {
        let mut current = vec![0x41];
        match answer {
            [0x41, rest @ ..] => current.extend_from_slice(rest),
            [0x42, pid, _frame, data @ ..] => {
                current.push(*pid);
                current.extend_from_slice(data);
            }
            _ => return,
        }
        let Some(frame) = current_data_frame(&current, Arc::from(""), Timestamp(0)) else { return };
        self.decoder.decode(&frame, &mut |sample| {
            let signal = self.decoder.signal(sample.signal);
            // Service byte and PID themselves depend on no multiplexer.
            if signal.present_when.is_some() {
                visit(&signal.name, signal.value(sample.raw), &signal.unit);
            }
        });
    }

    /// Whether service 01 answers of that PID are described.
    pub fn knows(&self, pid: u8) -> bool {
        let value = u64::from(pid);
        self.decoder
            .signals()
            .iter()
            .filter_map(|s| s.present_when.as_ref())
            .any(|(_, ranges)| ranges.iter().any(|(low, high)| (*low..=*high).contains(&value)))
    }
}
