//! One long message on its way: announced to all with a pause after each packet, or sent to one
//! unit as that unit grants it (J1939-21, 5.10.3); of more than 1785 bytes by the extended protocol
//! (5.11), which says before each part what is to be added to its packets' numbers.

use wire::time::Timestamp;

use super::{
    super::{Pgn, SourceAddress, transport},
    FILL, FRAME_BYTES,
};
use transport::{
    ABORT, BAM, CTS, DATA_PACKET_OFFSET, END_OF_MESSAGE, EXTENDED_CTS, EXTENDED_END_OF_MESSAGE, EXTENDED_RTS,
    Kind, PACKET_BYTES, PAYLOAD_BYTES_MAX, RTS, T3_US, T4_US,
};

/// Pause between the packets of a broadcast: 50 to 200 ms (J1939-21, 5.10.2.1).
const PACKET_GAP_US: i64 = 50_000;
/// Times a connection is asked for.
const ASKED_MAX: u8 = 3;
/// Packets that may be asked for again, in all.
const REPEATED_MAX: u32 = 2 * 255;

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The other unit did not answer in time.
    #[error("the unit did not answer in time")]
    Silent,
    /// The other unit gave up, with its reason (J1939-21, 5.10.3.4).
    #[error("the unit gave up with reason {0}")]
    Aborted(u8),
    /// It granted packets that there are not, or the same ones without end.
    #[error("the unit asked for packets that make no sense")]
    Nonsense,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// To be announced.
    Begun,
    /// A broadcast: the next packet and when.
    Broadcast(u32, Timestamp),
    /// A connection: asked for, granted none for now, or all that was granted is out.
    Waiting(Timestamp),
    /// The extended protocol: packets from the first to the second may go, once their offset is told.
    Offset(u32, u32),
    /// A connection: packets from the first to the second may go.
    Granted(u32, u32),
    /// Out with it: to be told that this side gives up.
    Aborting(Undelivered),
    Done(Result<(), Undelivered>),
}

/// A message and how far it is.
#[derive(Debug)]
pub(super) struct Sending {
    pgn: Pgn,
    to: SourceAddress,
    data: Vec<u8>,
    state: State,
    asked_count: u8,
    has_been_granted: bool,
    packets_out: u32,
    /// The extended protocol: what is added to the packets' numbers.
    offset: u32,
}

impl Sending {
    /// A message of 9 bytes or more; for all of 1785 at most.
    pub(super) fn new(pgn: Pgn, to: SourceAddress, data: Vec<u8>) -> Self {
        let state = State::Begun;
        Self { pgn, to, data, state, asked_count: 0, has_been_granted: false, packets_out: 0, offset: 0 }
    }

    pub(super) fn pgn(&self) -> Pgn {
        self.pgn
    }

    pub(super) fn to(&self) -> SourceAddress {
        self.to
    }

    /// How it ended, once it has.
    pub(super) fn result(&self) -> Option<Result<(), Undelivered>> {
        match self.state {
            State::Done(result) => Some(result),
            _ => None,
        }
    }

    fn packet_count(&self) -> u32 {
        u32::try_from(self.data.len().div_ceil(PACKET_BYTES)).unwrap_or(u32::MAX)
    }

    fn kind(&self) -> Kind {
        if self.data.len() > PAYLOAD_BYTES_MAX { Kind::Extended } else { Kind::Plain }
    }

    /// A control frame of the unit it is for, of one of the two protocols.
    pub(super) fn control(&mut self, group: Pgn, data: &[u8], now: Timestamp) {
        let Some(&[control, b1, b2, b3, b4, p0, p1, p2]) = data.first_chunk::<FRAME_BYTES>() else { return };
        let is_of_this =
            Pgn::from_le_bytes([p0, p1, p2]) == Some(self.pgn) && group == self.kind().control_group();
        if !is_of_this || matches!(self.state, State::Begun | State::Broadcast(..) | State::Done(_)) {
            return;
        }
        match (control, self.kind()) {
            (CTS, Kind::Plain) | (EXTENDED_CTS, Kind::Extended) if b1 == 0 => {
                self.state = State::Waiting(now.plus_us(T4_US))
            }
            (CTS, Kind::Plain) => self.grant(u32::from(b2), b1),
            (EXTENDED_CTS, Kind::Extended) => self.grant(u32::from_le_bytes([b2, b3, b4, 0]), b1),
            (END_OF_MESSAGE, Kind::Plain) | (EXTENDED_END_OF_MESSAGE, Kind::Extended) => {
                self.state = State::Done(Ok(()))
            }
            (ABORT, _) => self.state = State::Done(Err(Undelivered::Aborted(b1))),
            _ => {}
        }
    }

    fn grant(&mut self, first: u32, count: u8) {
        let last = first.saturating_add(u32::from(count) - 1);
        let is_possible = first >= 1 && last <= self.packet_count();
        self.has_been_granted = true;
        self.packets_out = self.packets_out.saturating_add(u32::from(count));
        let is_endless = self.packets_out > self.packet_count().saturating_add(REPEATED_MAX);
        self.state = if !is_possible || is_endless {
            State::Aborting(Undelivered::Nonsense)
        } else if self.kind() == Kind::Extended {
            State::Offset(first, last)
        } else {
            State::Granted(first, last)
        };
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        if let State::Waiting(until) = self.state
            && now > until
        {
            self.state = if !self.has_been_granted && self.asked_count < ASKED_MAX {
                State::Begun
            } else {
                State::Aborting(Undelivered::Silent)
            };
        }
    }

    /// The frame that is due.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(Pgn, [u8; FRAME_BYTES])> {
        match self.state {
            State::Begun => {
                let [b0, b1, b2, b3, ..] = self.data.len().to_le_bytes();
                if self.to == SourceAddress::GLOBAL {
                    self.state = State::Broadcast(1, now.plus_us(PACKET_GAP_US));
                } else {
                    self.asked_count += 1;
                    self.state = State::Waiting(now.plus_us(T3_US));
                }
                if self.kind() == Kind::Extended {
                    return Some(self.control_frame(EXTENDED_RTS, [b0, b1, b2, b3]));
                }
                let control = if self.to == SourceAddress::GLOBAL { BAM } else { RTS };
                let [packet_count, ..] = self.packet_count().to_le_bytes();
                Some(self.control_frame(control, [b0, b1, packet_count, FILL]))
            }
            State::Broadcast(number, at) if at <= now => {
                self.state = if number == self.packet_count() {
                    State::Done(Ok(()))
                } else {
                    State::Broadcast(number + 1, now.plus_us(PACKET_GAP_US))
                };
                Some(self.packet(number))
            }
            State::Offset(first, last) => {
                self.offset = first - 1;
                self.state = State::Granted(first, last);
                let ([count, ..], [b0, b1, b2, _]) =
                    ((last - self.offset).to_le_bytes(), self.offset.to_le_bytes());
                Some(self.control_frame(DATA_PACKET_OFFSET, [count, b0, b1, b2]))
            }
            State::Granted(number, last) => {
                self.state = if number == last {
                    State::Waiting(now.plus_us(T3_US))
                } else {
                    State::Granted(number + 1, last)
                };
                Some(self.packet(number))
            }
            State::Aborting(why) => {
                self.state = State::Done(Err(why));
                Some(self.control_frame(ABORT, [transport::ABORT_TIMEOUT, FILL, FILL, FILL]))
            }
            State::Broadcast(..) | State::Waiting(_) | State::Done(_) => None,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Broadcast(_, at) => Some(at),
            State::Waiting(until) => Some(until.plus_us(1)),
            State::Begun | State::Offset(..) | State::Granted(..) | State::Aborting(_) | State::Done(_) => {
                Some(Timestamp(i64::MIN))
            }
        }
    }

    fn packet(&self, number: u32) -> (Pgn, [u8; FRAME_BYTES]) {
        let mut frame = [FILL; FRAME_BYTES];
        [frame[0], ..] = (number - self.offset).to_le_bytes();
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let part = self.data.chunks(PACKET_BYTES).nth(index).unwrap_or_default();
        frame[1..=part.len()].copy_from_slice(part);
        (self.kind().data_group(), frame)
    }

    fn control_frame(&self, control: u8, more: [u8; 4]) -> (Pgn, [u8; FRAME_BYTES]) {
        (self.kind().control_group(), transport::control_frame(control, more, self.pgn))
    }
}
