//! What the kernel lets through: the ids that the decoder knows, and those of diagnostics.

use crate::{decode::Decoder, frame::OWN_ID_MIN};

use super::raw::{EXTENDED_FLAG, EXTENDED_MASK, REMOTE_FLAG, STANDARD_MASK};

/// Most filters a socket takes, `CAN_RAW_FILTER_MAX`.
const FILTER_COUNT_MAX: usize = 512;

/// One filter as the kernel has it: a frame passes when `id & mask` of both are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdFilter {
    /// The id with its flags.
    pub id: u32,
    /// Which bits of it count.
    pub mask: u32,
}

/// What a filter tells apart beside the id. Not error frames: with their flag in its mask the
/// kernel takes a filter for one of error frames alone (`can_rcv_list_find` in net/can/af_can.c),
/// and they come by a filter of their own anyway.
const KIND_MASK: u32 = EXTENDED_FLAG | REMOTE_FLAG;

impl IdFilter {
    /// Exactly that 11-bit id.
    pub const fn standard(raw: u32) -> Self {
        Self { id: raw, mask: STANDARD_MASK | KIND_MASK }
    }

    /// Exactly that 29-bit id.
    pub const fn extended(raw: u32) -> Self {
        Self { id: raw | EXTENDED_FLAG, mask: EXTENDED_MASK | KIND_MASK }
    }

    /// A J1939 parameter group from any source at any priority; to any destination where the
    /// group has one (PDU format below 240, SAE J1939-21 5.2).
    pub const fn pgn(pgn: u32) -> Self {
        let is_addressed = (pgn >> 8) & 0xFF < 240;
        let bits = if is_addressed { 0x03FF_0000 } else { 0x03FF_FF00 };
        Self { id: ((pgn << 8) & bits) | EXTENDED_FLAG, mask: bits | KIND_MASK }
    }

    /// As the kernel decides it of a frame that is no error frame.
    #[cfg(test)]
    fn passes(self, id: u32) -> bool {
        self.mask & super::raw::ERROR_FLAG == 0 && id & self.mask == self.id & self.mask
    }
}

/// What diagnostics listen to, whatever the DBC files have: transport (TP.CM, TP.DT, ETP.CM,
/// ETP.DT), DM1 to DM4, DM11, acknowledgement and address claims of J1939.
const J1939_DIAGNOSTICS: [u32; 11] =
    [0xEC00, 0xEB00, 0xC800, 0xC700, 0xFECA, 0xFECB, 0xFECC, 0xFECD, 0xFED3, 0xE800, 0xEE00];

/// Filters for what a decoder knows and what answers to diagnostic requests (ISO 15765-4: 7E8 to
/// 7EF, 18DAF1xx); `None` when they are more than a socket takes, so that everything must pass.
pub fn filters_of(decoder: &Decoder) -> Option<Vec<IdFilter>> {
    let mut filters = vec![
        IdFilter { id: 0x7E8, mask: 0x7F8 | KIND_MASK },
        IdFilter { id: 0x18DA_F100 | EXTENDED_FLAG, mask: 0x1FFF_FF00 | KIND_MASK },
    ];
    let mut has_j1939 = false;
    for message in decoder.messages() {
        // What the agent makes itself is on no bus.
        if message.id.is_extended && message.id.raw >= OWN_ID_MIN {
            continue;
        }
        filters.push(match (message.id.is_extended, message.is_j1939) {
            (false, _) => IdFilter::standard(message.id.raw),
            (true, false) => IdFilter::extended(message.id.raw),
            (true, true) => IdFilter::pgn((message.id.raw >> 8) & 0x3_FFFF),
        });
        has_j1939 |= message.is_j1939;
    }
    if has_j1939 {
        filters.extend(J1939_DIAGNOSTICS.map(IdFilter::pgn));
    }
    filters.sort_unstable();
    filters.dedup();
    (filters.len() <= FILTER_COUNT_MAX).then_some(filters)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

    use super::*;
    use crate::dbc::Dbc;

    fn passes(filters: &[IdFilter], id: u32) -> bool {
        filters.iter().any(|filter| filter.passes(id))
    }

    #[test]
    fn known_ids_and_answers_pass_and_others_do_not() {
        let text = b"VERSION \"\"\nBU_: A\nBO_ 256 m: 8 A\n SG_ s : 0|8@1+ (1,0) [0|0] \"\" A\n\
            BO_ 2566844926 x: 8 A\n SG_ s : 0|8@1+ (1,0) [0|0] \"\" A\n";
        let decoder = Decoder::compile(&[Dbc::from_bytes("t.dbc", text).unwrap()]).unwrap();
        let filters = filters_of(&decoder).unwrap();
        for id in [0x100, 0x7E8, 0x7EF, 0x18FE_F1FE | EXTENDED_FLAG, 0x18DA_F110 | EXTENDED_FLAG] {
            assert!(passes(&filters, id), "{id:x}");
        }
        for id in [0x101, 0x7E0, 0x100 | EXTENDED_FLAG, 0x100 | REMOTE_FLAG, 0x18FE_F1FD | EXTENDED_FLAG] {
            assert!(!passes(&filters, id), "{id:x}");
        }
    }

    #[test]
    fn a_parameter_group_passes_from_any_source_and_to_any_destination() {
        let engine_speed = IdFilter::pgn(0xF004);
        assert!(engine_speed.passes(0x0CF0_0400 | EXTENDED_FLAG));
        assert!(engine_speed.passes(0x18F0_0427 | EXTENDED_FLAG));
        assert!(!engine_speed.passes(0x18F0_0500 | EXTENDED_FLAG));
        let transport = IdFilter::pgn(0xEC00);
        assert!(
            transport.passes(0x18EC_FF00 | EXTENDED_FLAG) && transport.passes(0x1CEC_2717 | EXTENDED_FLAG)
        );
    }

    #[test]
    fn more_ids_than_a_socket_takes_turn_filtering_off() {
        let mut text = String::from("VERSION \"\"\nBU_: A\n");
        for id in 0..600 {
            text += &format!("BO_ {id} m{id}: 8 A\n SG_ s : 0|8@1+ (1,0) [0|0] \"\" A\n");
        }
        let decoder = Decoder::compile(&[Dbc::from_bytes("t.dbc", text.as_bytes()).unwrap()]).unwrap();
        assert_eq!(filters_of(&decoder), None);
    }
}
