//! Long messages that other units send to this one: granted packet by packet, asked for again where
//! one is missing, and acknowledged (J1939-21, 5.10.3; 5.11 for those of more than 1785 bytes).

use std::collections::VecDeque;

use wire::time::Timestamp;

use super::{
    super::{
        Header, Message, Pgn, SourceAddress,
        transport::{
            self, ABORT, ABORT_BUSY, ABORT_TIMEOUT, CTS, DATA_PACKET_OFFSET, END_OF_MESSAGE, EXTENDED_CTS,
            EXTENDED_END_OF_MESSAGE, EXTENDED_RTS, Kind, RTS, T1_US, T2_US, Transport,
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
    kind: Kind,
    source: SourceAddress,
    pgn: Pgn,
    /// Of the acknowledgement at its end.
    end: [u8; 4],
    packet_count: u32,
    /// Most packets the sender wants to be asked for at once.
    granted_max: u8,
    granted_to: u32,
    /// The extended protocol: what is added to the packets' numbers.
    offset: u32,
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
        let (Some(pgn), Some(kind)) = (Pgn::from_le_bytes([p0, p1, p2]), Kind::of(header.pgn)) else {
            return;
        };
        match (control, kind) {
            (RTS, Kind::Plain) => {
                let session = Session {
                    kind,
                    source: header.source,
                    pgn,
                    end: [b1, b2, b3, FILL],
                    packet_count: u32::from(b3),
                    granted_max: b4.clamp(1, GRANTED_MAX),
                    granted_to: 0,
                    offset: 0,
                    asked_again: 0,
                    deadline: now,
                };
                self.begin(session, own, (header, data), now, out);
            }
            (EXTENDED_RTS, Kind::Extended) => {
                let end = [b1, b2, b3, b4];
                let packet_bytes = u32::try_from(transport::PACKET_BYTES).unwrap_or(u32::MAX);
                let session = Session {
                    kind,
                    source: header.source,
                    pgn,
                    end,
                    packet_count: u32::from_le_bytes(end).div_ceil(packet_bytes),
                    granted_max: GRANTED_MAX,
                    granted_to: 0,
                    offset: 0,
                    asked_again: 0,
                    deadline: now,
                };
                self.begin(session, own, (header, data), now, out);
            }
            (DATA_PACKET_OFFSET, Kind::Extended) => {
                self.transport.receive(now, header, data);
                if let Some(place) = self.find(kind, header.source) {
                    self.sessions[place].offset = u32::from_le_bytes([b2, b3, b4, 0]);
                    self.sessions[place].deadline = now.plus_us(T1_US);
                }
            }
            (ABORT, _) => {
                self.sessions.retain(|s| s.kind != kind || s.source != header.source || s.pgn != pgn);
                self.transport.receive(now, header, data);
            }
            _ => {}
        }
    }

    fn find(&self, kind: Kind, source: SourceAddress) -> Option<usize> {
        self.sessions.iter().position(|s| s.kind == kind && s.source == source)
    }

    /// Takes what a sender announces, if there is room, and grants it its first packets.
    fn begin(
        &mut self,
        session: Session,
        own: SourceAddress,
        (header, data): (&Header, &[u8]),
        now: Timestamp,
        out: &mut Urgent,
    ) {
        let (kind, source) = (session.kind, session.source);
        let is_full = self.find(kind, source).is_none() && self.sessions.len() >= TAKEN_AT_ONCE_MAX;
        let before = self.transport.counts();
        if !is_full {
            self.transport.receive(now, header, data);
        }
        let after = self.transport.counts();
        if is_full || after.refused != before.refused {
            self.sessions.retain(|s| s.kind != kind || s.source != source);
            put(out, (own, &session), ABORT, [ABORT_BUSY, FILL, FILL, FILL]);
            return;
        }
        if after.malformed != before.malformed {
            return;
        }
        // A unit has one connection of a kind to another; a new one is in place of the old.
        self.sessions.retain(|s| s.kind != kind || s.source != source);
        self.sessions.push(session);
        self.grant(self.sessions.len() - 1, own, now, out);
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
        let place = self.find(Kind::of(header.pgn)?, header.source)?;
        let whole = self.transport.receive(now, header, data);
        let session = self.sessions.get_mut(place)?;
        session.deadline = now.plus_us(T1_US);
        if whole.is_some() {
            let session = self.sessions.swap_remove(place);
            let control = match session.kind {
                Kind::Plain => END_OF_MESSAGE,
                Kind::Extended => EXTENDED_END_OF_MESSAGE,
            };
            put(out, (own, &session), control, session.end);
        } else if data.first().map(|number| session.offset + u32::from(*number)) == Some(session.granted_to) {
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
        let Some(first) = self.transport.first_missing(session.kind, session.source, own) else {
            // Its sender has begun another.
            self.give_up(place, own, out);
            return;
        };
        let left = session.packet_count.saturating_sub(first - 1);
        let count = session.granted_max.min(u8::try_from(left).unwrap_or(u8::MAX)).max(1);
        session.granted_to = first + u32::from(count) - 1;
        session.deadline = now.plus_us(T2_US);
        let [b0, b1, b2, _] = first.to_le_bytes();
        let (control, more) = match session.kind {
            Kind::Plain => (CTS, [count, b0, FILL, FILL]),
            Kind::Extended => (EXTENDED_CTS, [count, b0, b1, b2]),
        };
        let (header, data) = put(out, (own, &*session), control, more);
        // The book follows what is granted, also by this node itself.
        self.transport.receive(now, &header, &data);
    }

    fn give_up(&mut self, place: usize, own: SourceAddress, out: &mut Urgent) {
        let session = self.sessions.swap_remove(place);
        put(out, (own, &session), ABORT, [ABORT_TIMEOUT, FILL, FILL, FILL]);
    }
}

/// A control frame to the sender of a session.
fn put(
    out: &mut Urgent,
    (own, session): (SourceAddress, &Session),
    control: u8,
    more: [u8; 4],
) -> (Header, [u8; FRAME_BYTES]) {
    let header = Header {
        priority: TRANSPORT_PRIORITY,
        pgn: session.kind.control_group(),
        source: own,
        destination: session.source,
    };
    let data = transport::control_frame(control, more, session.pgn);
    out.push_back((header, data));
    (header, data)
}
