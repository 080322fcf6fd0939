//! Raw values of J1939 that say that there is no value.

use super::{Carrier, NotAvailable};
use crate::decode::{Encoding, Raw, SignalDef};

/// From which raw value on a signal says nothing, and when that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unavailable {
    from: Option<u64>,
    is_by_transport_only: bool,
}

impl Unavailable {
    /// Of a signal: by the map's word, else by its message being one of J1939.
    pub(super) fn of(def: &SignalDef, is_j1939: bool, rule: Option<NotAvailable>) -> Self {
        let from = match rule {
            Some(NotAvailable::None) => None,
            Some(NotAvailable::J1939) | None => first_unavailable(def),
        };
        Self { from, is_by_transport_only: rule.is_none() && !is_j1939 }
    }

    /// Whether a raw value says nothing.
    #[inline]
    pub(super) fn is(self, raw: Raw, carrier: Carrier) -> bool {
        let Some(from) = self.from else { return false };
        if self.is_by_transport_only && carrier == Carrier::Frame {
            return false;
        }
        match raw {
            Raw::Int(value) => u64::try_from(value).is_ok_and(|value| value >= from),
            Raw::Wide(value) => value >= from,
            Raw::Float(_) => false,
        }
    }
}

/// The first raw value after the valid ones (J1939-71, 5.1.4, tables 1 and 2).
///
/// One to four whole bytes: 0xFB.. is specific to the parameter, 0xFC.. and 0xFD.. are reserved,
/// 0xFE.. is an error and 0xFF.. not available. Two bits: 0b10 is an error, 0b11 not available.
/// Of other lengths the standard says that only all ones is not available. A single bit, a signed
/// integer and a float have no such value.
fn first_unavailable(def: &SignalDef) -> Option<u64> {
    if def.layout.encoding() != Encoding::Unsigned {
        return None;
    }
    match def.layout.bit_count() {
        0 | 1 => None,
        2 => Some(0b10),
        bits @ (8 | 16 | 24 | 32) => Some(0xFB << (bits - 8)),
        bits => Some(u64::MAX >> (64 - bits)),
    }
}
