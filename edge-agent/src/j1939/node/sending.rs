//! One long message on its way: announced to all with a pause after each packet, or sent to one
//! unit as that unit grants it (J1939-21, 5.10.3).

use wire::time::Timestamp;

use super::{
    super::{Pgn, SourceAddress, transport},
    FILL, FRAME_BYTES,
};
use transport::{ABORT, BAM, CTS, END_OF_MESSAGE, PACKET_BYTES, RTS, T3_US, T4_US};

/// Pause between the packets of a broadcast: 50 to 200 ms (J1939-21, 5.10.2.1).
const PACKET_GAP_US: i64 = 50_000;
/// Times a connection is asked for.
const ASKED_MAX: u8 = 3;
/// Times one packet may be asked for again.
const REPEATED_MAX: u16 = 2 * 255;

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
    Broadcast(u8, Timestamp),
    /// A connection: asked for, granted none for now, or all that was granted is out.
    Waiting(Timestamp),
    /// A connection: packets from the first to the second may go.
    Granted(u8, u8),
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
    packets_out: u16,
}

impl Sending {
    /// A message of 9 to 1785 bytes.
    pub(super) fn new(pgn: Pgn, to: SourceAddress, data: Vec<u8>) -> Self {
        let state = State::Begun;
        Self { pgn, to, data, state, asked_count: 0, has_been_granted: false, packets_out: 0 }
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

    fn packet_count(&self) -> u8 {
        u8::try_from(self.data.len().div_ceil(PACKET_BYTES)).unwrap_or(u8::MAX)
    }

    /// A control frame of the unit it is for.
    pub(super) fn control(&mut self, data: &[u8], now: Timestamp) {
        let Some(&[control, b1, b2, _, _, p0, p1, p2]) = data.first_chunk::<FRAME_BYTES>() else { return };
        let is_of_this = Pgn::from_le_bytes([p0, p1, p2]) == Some(self.pgn);
        if !is_of_this || matches!(self.state, State::Begun | State::Broadcast(..) | State::Done(_)) {
            return;
        }
        match control {
            CTS if b1 == 0 => self.state = State::Waiting(now.plus_us(T4_US)),
            CTS => {
                let last = b2.saturating_add(b1 - 1);
                let is_possible = b2 >= 1 && last <= self.packet_count();
                self.has_been_granted = true;
                self.packets_out = self.packets_out.saturating_add(u16::from(b1));
                let is_endless = self.packets_out > u16::from(self.packet_count()) + REPEATED_MAX;
                self.state = if is_possible && !is_endless {
                    State::Granted(b2, last)
                } else {
                    State::Aborting(Undelivered::Nonsense)
                };
            }
            END_OF_MESSAGE => self.state = State::Done(Ok(())),
            ABORT => self.state = State::Done(Err(Undelivered::Aborted(b1))),
            _ => {}
        }
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
                let [low, high, ..] = self.data.len().to_le_bytes();
                let control = if self.to == SourceAddress::GLOBAL { BAM } else { RTS };
                self.state = if control == BAM {
                    State::Broadcast(1, now.plus_us(PACKET_GAP_US))
                } else {
                    self.asked_count += 1;
                    State::Waiting(now.plus_us(T3_US))
                };
                Some(self.control_frame(control, [low, high, self.packet_count(), FILL]))
            }
            State::Broadcast(number, at) if at <= now => {
                self.state = if number == self.packet_count() {
                    State::Done(Ok(()))
                } else {
                    State::Broadcast(number + 1, now.plus_us(PACKET_GAP_US))
                };
                Some(self.packet(number))
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
            State::Begun | State::Granted(..) | State::Aborting(_) | State::Done(_) => {
                Some(Timestamp(i64::MIN))
            }
        }
    }

    fn packet(&self, number: u8) -> (Pgn, [u8; FRAME_BYTES]) {
        let mut frame = [FILL; FRAME_BYTES];
        frame[0] = number;
        let part = self.data.chunks(PACKET_BYTES).nth(usize::from(number) - 1).unwrap_or_default();
        frame[1..=part.len()].copy_from_slice(part);
        (Pgn::TRANSPORT_DATA, frame)
    }

    fn control_frame(&self, control: u8, more: [u8; 4]) -> (Pgn, [u8; FRAME_BYTES]) {
        (Pgn::TRANSPORT_CONTROL, transport::control_frame(control, more, self.pgn))
    }
}
