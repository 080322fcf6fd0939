//! Long messages that other units send to this one: granted packet by packet, asked for again where
//! one is missing, and acknowledged (J1939-21, 5.10.3).

use std::collections::VecDeque;

use wire::time::Timestamp;

use super::{
    super::{
        Header, Message, Pgn, SourceAddress,
        transport::{
            self, ABORT, ABORT_BUSY, ABORT_TIMEOUT, CTS, END_OF_MESSAGE, RTS, T1_US, T2_US, Transport,
        },
    },
    FILL, FRAME_BYTES, TRANSPORT_PRIORITY,
};

/// Messages taken at once; further senders are told to come again.
const TAKEN_AT_ONCE_MAX: usize = 8;
/// Packets granted at once.
const GRANTED_MAX: u8 = 16;
/// Times packets are asked for again before the sender is given up.
const ASKED_AGAIN_MAX: u8 = 3;

/// Longer than all asking again takes: when a session ends is said here, not by its book.
const PATIENCE_US: i64 = 10_000_000;

type Urgent = VecDeque<(Header, [u8; FRAME_BYTES])>;

#[derive(Debug)]
struct Session {
    source: SourceAddress,
    pgn: Pgn,
    byte_count: [u8; 2],
    packet_count: u8,
    /// Most packets the sender wants to be asked for at once.
    granted_max: u8,
    granted_to: u8,
    asked_again: u8,
    deadline: Timestamp,
}

/// What is being taken.
#[derive(Debug)]
pub(super) struct Taking {
    transport: Transport,
    sessions: Vec<Session>,
}

impl Default for Taking {
    fn default() -> Self {
        Self { transport: Transport::patient(PATIENCE_US), sessions: Vec::new() }
    }
}

impl Taking {
    /// A control frame for this node.
    pub(super) fn control(
        &mut self,
        own: SourceAddress,
        header: &Header,
        data: &[u8],
        now: Timestamp,
        out: &mut Urgent,
    ) {
        let Some(&[control, b1, b2, b3, b4, p0, p1, p2]) = data.first_chunk::<FRAME_BYTES>() else { return };
        let Some(pgn) = Pgn::from_le_bytes([p0, p1, p2]) else { return };
        match control {
            RTS => {
                let is_new = !self.sessions.iter().any(|s| s.source == header.source);
                if is_new && self.sessions.len() >= TAKEN_AT_ONCE_MAX {
                    put(out, own, header.source, ABORT, [ABORT_BUSY, FILL, FILL, FILL], pgn);
                    return;
                }
                let before = self.transport.counts().malformed;
                self.transport.receive(now, header, data);
                if self.transport.counts().malformed != before {
                    return;
                }
                // A unit has one connection to another; a new one is in place of the old.
                self.sessions.retain(|s| s.source != header.source);
                let (source, deadline) = (header.source, now);
                self.sessions.push(Session {
                    source,
                    pgn,
                    byte_count: [b1, b2],
                    packet_count: b3,
                    granted_max: b4.clamp(1, GRANTED_MAX),
                    granted_to: 0,
                    asked_again: 0,
                    deadline,
                });
                let place = self.sessions.len() - 1;
                self.grant(place, own, now, out);
            }
            ABORT => {
                self.sessions.retain(|s| s.source != header.source || s.pgn != pgn);
                self.transport.receive(now, header, data);
            }
            _ => {}
        }
    }

    /// A packet for this node; the message, if it is whole now.
    pub(super) fn packet(
        &mut self,
        own: SourceAddress,
        header: &Header,
        data: &[u8],
        now: Timestamp,
        out: &mut Urgent,
    ) -> Option<Message> {
        let place = self.sessions.iter().position(|s| s.source == header.source)?;
        let whole = self.transport.receive(now, header, data);
        let session = self.sessions.get_mut(place)?;
        session.deadline = now.plus_us(T1_US);
        if whole.is_some() {
            let Session { source, pgn, byte_count: [low, high], packet_count, .. } =
                self.sessions.swap_remove(place);
            put(out, own, source, END_OF_MESSAGE, [low, high, packet_count, FILL], pgn);
        } else if data.first() == Some(&session.granted_to) {
            self.grant(place, own, now, out);
        }
        whole
    }

    /// Asks again where packets are due and did not come.
    pub(super) fn tick(&mut self, own: SourceAddress, now: Timestamp, out: &mut Urgent) {
        let mut place = 0;
        while let Some(session) = self.sessions.get_mut(place) {
            if now < session.deadline {
                place += 1;
                continue;
            }
            session.asked_again += 1;
            if session.asked_again > ASKED_AGAIN_MAX {
                self.give_up(place, own, out);
            } else {
                let before = self.sessions.len();
                self.grant(place, own, now, out);
                place += usize::from(self.sessions.len() == before);
            }
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.sessions.iter().map(|s| s.deadline).min()
    }

    /// Grants the next packets, from the first that is missing.
    fn grant(&mut self, place: usize, own: SourceAddress, now: Timestamp, out: &mut Urgent) {
        let Some(session) = self.sessions.get_mut(place) else { return };
        let Some(first) = self.transport.first_missing(session.source, own) else {
            // Its sender has begun another.
            self.give_up(place, own, out);
            return;
        };
        let count = session.granted_max.min(session.packet_count - (first - 1));
        session.granted_to = first + (count - 1);
        session.deadline = now.plus_us(T2_US);
        let (to, pgn) = (session.source, session.pgn);
        let (header, data) = put(out, own, to, CTS, [count, first, FILL, FILL], pgn);
        // The book follows what is granted, also by this node itself.
        self.transport.receive(now, &header, &data);
    }

    fn give_up(&mut self, place: usize, own: SourceAddress, out: &mut Urgent) {
        let session = self.sessions.swap_remove(place);
        put(out, own, session.source, ABORT, [ABORT_TIMEOUT, FILL, FILL, FILL], session.pgn);
    }
}

fn put(
    out: &mut Urgent,
    source: SourceAddress,
    destination: SourceAddress,
    control: u8,
    more: [u8; 4],
    pgn: Pgn,
) -> (Header, [u8; FRAME_BYTES]) {
    let header = Header { priority: TRANSPORT_PRIORITY, pgn: Pgn::TRANSPORT_CONTROL, source, destination };
    let data = transport::control_frame(control, more, pgn);
    out.push_back((header, data));
    (header, data)
}
