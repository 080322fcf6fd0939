//! Messages of 9 to 1785 bytes, put together from the transport protocol's frames
//! (J1939-21, 5.10), by a listener that takes no part.
//!
//! A broadcast (BAM) runs from one unit to all; a connection (RTS/CTS) between two, whose answers
//! are heard too. One of each may run from a unit to a destination, so sessions of many units
//! interleave. A packet of a broadcast that is missing ends it; in a connection the receiver asks
//! again, so packets may come in any order and more than once. A session that falls silent for
//! longer than the standard's time is over. Nothing is given that is not whole. Longer messages,
//! of the extended transport protocol, are in `extended.rs`.

use wire::time::Timestamp;

use super::{Header, Pgn, SourceAddress};
use crate::frame::FrameId;

mod extended;

use extended::Extended;
pub(super) use extended::{DATA_PACKET_OFFSET, EXTENDED_CTS, EXTENDED_END_OF_MESSAGE, EXTENDED_RTS};
pub use extended::{EXTENDED_BYTES_MAX, EXTENDED_PAYLOAD_BYTES_MAX};

/// Longest message of the transport protocol: 255 packets of 7 bytes (J1939-21, 5.10.1.1).
pub const PAYLOAD_BYTES_MAX: usize = 1785;
/// Sessions under way on one bus; a real one has fewer than ten.
pub const SESSION_COUNT_MAX: usize = 64;

/// Data bytes of one packet; the first byte is its number.
pub(super) const PACKET_BYTES: usize = 7;
/// Shortest message that takes more than one frame.
const PAYLOAD_BYTES_MIN: usize = 9;

/// Control bytes of connection management (J1939-21, 5.10.3).
pub(super) const RTS: u8 = 16;
pub(super) const CTS: u8 = 17;
pub(super) const END_OF_MESSAGE: u8 = 19;
pub(super) const BAM: u8 = 32;
pub(super) const ABORT: u8 = 255;

/// Reasons of an abort (J1939-21, 5.10.3.4): no room for one more connection; a time ran out.
pub(super) const ABORT_BUSY: u8 = 1;
pub(super) const ABORT_TIMEOUT: u8 = 3;

/// J1939-21, 5.10.2.4: time between packets.
pub(super) const T1_US: i64 = 750_000;
/// J1939-21, 5.10.2.4: time from clear-to-send to the first packet.
pub(super) const T2_US: i64 = 1_250_000;
/// J1939-21, 5.10.2.4: time from the last packet asked for to the receiver's answer.
pub(super) const T3_US: i64 = 1_250_000;
/// J1939-21, 5.10.2.4: time from a clear-to-send of no packets to the next.
pub(super) const T4_US: i64 = 1_050_000;
/// A clock that went back by more than this ends what was under way.
const BACKWARDS_US: i64 = 1_000_000;

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of 9 to 1785 bytes.
    Plain,
    /// Of more.
    Extended,
}

impl Kind {
    /// The group of its control frames.
    pub(super) fn control_group(self) -> Pgn {
        match self {
            Self::Plain => Pgn::TRANSPORT_CONTROL,
            Self::Extended => Pgn::EXTENDED_TRANSPORT_CONTROL,
        }
    }

    /// The group of its packets.
    pub(super) fn data_group(self) -> Pgn {
        match self {
            Self::Plain => Pgn::TRANSPORT_DATA,
            Self::Extended => Pgn::EXTENDED_TRANSPORT_DATA,
        }
    }

    /// Of either of its groups.
    pub(super) fn of(group: Pgn) -> Option<Self> {
        [Self::Plain, Self::Extended]
            .into_iter()
            .find(|k| group == k.control_group() || group == k.data_group())
    }
}

/// A whole message, however many frames it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When its last packet was on the bus.
    pub time: Timestamp,
    /// Which message.
    pub pgn: Pgn,
    /// Who sent it.
    pub source: SourceAddress,
    /// Whom it is for.
    pub destination: SourceAddress,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl Message {
    /// The 29-bit id a frame of it would have, at the priority messages have by default
    /// (J1939-21, 5.2.1: its own is not sent).
    pub fn id(&self) -> FrameId {
        let Self { pgn, source, destination, .. } = *self;
        Header { priority: 6, pgn, source, destination }.id()
    }
}

/// How sessions ended, and what was no part of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransportCounts {
    /// Sessions that gave a message.
    pub completed: u64,
    /// Sessions with a packet that never came.
    pub lost_packet: u64,
    /// Sessions that fell silent.
    pub timed_out: u64,
    /// Sessions one side gave up.
    pub aborted: u64,
    /// Sessions begun anew by their sender before they were whole.
    pub superseded: u64,
    /// Sessions given up for want of room.
    pub evicted: u64,
    /// Frames that contradict the standard or their session.
    pub malformed: u64,
    /// Packets of no session: those whose beginning was not heard.
    pub stray_packets: u64,
    /// Sessions of the extended transport protocol that are longer than is taken, or for which
    /// there was no room.
    pub refused: u64,
}

impl TransportCounts {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            lost_packet: self.lost_packet + other.lost_packet,
            timed_out: self.timed_out + other.timed_out,
            aborted: self.aborted + other.aborted,
            superseded: self.superseded + other.superseded,
            evicted: self.evicted + other.evicted,
            malformed: self.malformed + other.malformed,
            stray_packets: self.stray_packets + other.stray_packets,
            refused: self.refused + other.refused,
        }
    }

    /// Every count with its name, in one order.
    pub fn by_name(&self) -> [(&'static str, u64); 9] {
        [
            ("completed", self.completed),
            ("lost_packet", self.lost_packet),
            ("timed_out", self.timed_out),
            ("aborted", self.aborted),
            ("superseded", self.superseded),
            ("evicted", self.evicted),
            ("malformed", self.malformed),
            ("stray_packets", self.stray_packets),
            ("refused", self.refused),
        ]
    }
}

/// The long messages under way on one bus.
#[derive(Debug, Default)]
pub struct Transport {
    sessions: Vec<Session>,
    extended: Extended,
    counts: TransportCounts,
    /// Time beyond the standard's before a session is over.
    patience_us: i64,
}

#[derive(Debug)]
struct Session {
    source: SourceAddress,
    /// [`SourceAddress::GLOBAL`] for a broadcast.
    destination: SourceAddress,
    pgn: Pgn,
    data: Vec<u8>,
    packet_count: u8,
    /// A bit a packet.
    received: [u64; 4],
    received_count: u8,
    /// The last packet the receiver has asked for; 0 before it did.
    granted_to: u8,
    last_time: Timestamp,
    deadline: Timestamp,
}

/// What a packet did to its session.
enum Packet {
    Taken,
    Whole,
    /// One of a broadcast is missing before it.
    Lost,
    Malformed,
}

impl Session {
    fn is_broadcast(&self) -> bool {
        self.destination == SourceAddress::GLOBAL
    }

    fn is_over(&self, now: Timestamp, patience_us: i64) -> bool {
        now > self.deadline.plus_us(patience_us) || self.last_time.since_us(now) > BACKWARDS_US
    }

    fn touch(&mut self, now: Timestamp, wait_us: i64) {
        self.last_time = now;
        self.deadline = now.plus_us(wait_us);
    }

    fn packet(&mut self, now: Timestamp, number: u8, bytes: &[u8]) -> Packet {
        if number == 0 || number > self.packet_count {
            return Packet::Malformed;
        }
        if self.is_broadcast() && number > self.received_count.saturating_add(1) {
            return Packet::Lost;
        }
        let from = usize::from(number - 1) * PACKET_BYTES;
        let to = (from + PACKET_BYTES).min(self.data.len());
        // The last packet is filled up, but some units send it short.
        let (Some(place), Some(bytes)) = (self.data.get_mut(from..to), bytes.get(..to - from)) else {
            return Packet::Malformed;
        };
        let bit = usize::from(number - 1);
        let (word, mask) = (&mut self.received[bit / 64], 1_u64 << (bit % 64));
        if *word & mask == 0 {
            *word |= mask;
            self.received_count += 1;
            place.copy_from_slice(bytes);
        }
        if self.received_count == self.packet_count {
            return Packet::Whole;
        }
        self.touch(now, if number == self.granted_to { T3_US } else { T1_US });
        Packet::Taken
    }
}

impl Transport {
    /// For one who takes part, and says itself when it waits no longer.
    pub(super) fn patient(patience_us: i64) -> Self {
        Self { patience_us, ..Self::default() }
    }

    /// How sessions have ended so far.
    pub fn counts(&self) -> TransportCounts {
        self.counts
    }

    /// Sessions under way.
    pub fn session_count(&self) -> usize {
        self.sessions.len() + self.extended.session_count()
    }

    /// Takes the data of one frame; the message it completes, if it does. Frames of other
    /// parameter groups only let time pass.
    pub fn receive(&mut self, time: Timestamp, header: &Header, data: &[u8]) -> Option<Message> {
        match header.pgn {
            Pgn::TRANSPORT_DATA => {
                self.expire(time);
                self.packet(time, header, data)
            }
            Pgn::TRANSPORT_CONTROL => {
                self.expire(time);
                self.control(time, header, data);
                None
            }
            Pgn::EXTENDED_TRANSPORT_DATA => {
                self.expire(time);
                self.extended.packet(time, header, data, &mut self.counts)
            }
            Pgn::EXTENDED_TRANSPORT_CONTROL => {
                self.expire(time);
                self.extended.control(time, header, data, &mut self.counts);
                None
            }
            _ => None,
        }
    }

    /// Ends the sessions that have been silent for too long at `now`.
    pub fn expire(&mut self, now: Timestamp) {
        let before = self.sessions.len();
        let patience_us = self.patience_us;
        self.sessions.retain(|session| !session.is_over(now, patience_us));
        self.counts.timed_out +=
            (before - self.sessions.len()) as u64 + self.extended.expire(now, patience_us);
    }

    /// The first packet of a session that has not come; `None` when there is no such session.
    pub(super) fn first_missing(
        &self,
        kind: Kind,
        source: SourceAddress,
        destination: SourceAddress,
    ) -> Option<u32> {
        if kind == Kind::Extended {
            return self.extended.first_missing(source, destination);
        }
        let session = self.find(source, destination).and_then(|i| self.sessions.get(i))?;
        let missing = (1..=session.packet_count).find(|number| {
            let bit = usize::from(number - 1);
            session.received[bit / 64] & (1 << (bit % 64)) == 0
        });
        missing.map(u32::from)
    }

    fn find(&self, source: SourceAddress, destination: SourceAddress) -> Option<usize> {
        self.sessions.iter().position(|s| s.source == source && s.destination == destination)
    }

    fn control(&mut self, time: Timestamp, header: &Header, data: &[u8]) {
        let Some(&[control, b1, b2, b3, _, p0, p1, p2]) = data.first_chunk::<8>() else {
            self.counts.malformed += 1;
            return;
        };
        let Some(pgn) = Pgn::from_le_bytes([p0, p1, p2]) else {
            self.counts.malformed += 1;
            return;
        };
        // Of an answer, the session is the other way round.
        let answered = self.find(header.destination, header.source).filter(|i| self.sessions[*i].pgn == pgn);
        let is_broadcast = header.destination == SourceAddress::GLOBAL;
        match control {
            BAM | RTS if is_broadcast == (control == BAM) => {
                self.open(time, header, pgn, u16::from_le_bytes([b1, b2]), b3);
            }
            CTS => match answered.and_then(|i| self.sessions.get_mut(i)) {
                Some(session) if b1 == 0 => session.touch(time, T4_US),
                Some(session) => {
                    session.granted_to = b2.saturating_add(b1 - 1);
                    session.touch(time, T2_US);
                }
                None => {}
            },
            END_OF_MESSAGE => {
                // A whole one has been given and is gone; of this one a packet was not heard.
                if let Some(i) = answered {
                    self.sessions.swap_remove(i);
                    self.counts.lost_packet += 1;
                }
            }
            ABORT => {
                let own = self.find(header.source, header.destination);
                let own = own.filter(|i| self.sessions[*i].pgn == pgn);
                if let Some(i) = own.or(answered) {
                    self.sessions.swap_remove(i);
                    self.counts.aborted += 1;
                }
            }
            _ => self.counts.malformed += 1,
        }
    }

    fn open(&mut self, time: Timestamp, header: &Header, pgn: Pgn, byte_count: u16, packet_count: u8) {
        let byte_count = usize::from(byte_count);
        let is_possible = (PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&byte_count)
            && byte_count.div_ceil(PACKET_BYTES) == usize::from(packet_count);
        if !is_possible || header.source.0 >= SourceAddress::NULL.0 {
            self.counts.malformed += 1;
            return;
        }
        if let Some(i) = self.find(header.source, header.destination) {
            self.sessions.swap_remove(i);
            self.counts.superseded += 1;
        }
        if self.sessions.len() >= SESSION_COUNT_MAX
            && let Some((i, _)) = self.sessions.iter().enumerate().min_by_key(|(_, s)| s.last_time)
        {
            self.sessions.swap_remove(i);
            self.counts.evicted += 1;
        }
        let wait_us = if header.destination == SourceAddress::GLOBAL { T1_US } else { T3_US };
        self.sessions.push(Session {
            source: header.source,
            destination: header.destination,
            pgn,
            data: vec![0; byte_count],
            packet_count,
            received: [0; 4],
            received_count: 0,
            granted_to: 0,
            last_time: time,
            deadline: time.plus_us(wait_us),
        });
    }

    fn packet(&mut self, time: Timestamp, header: &Header, data: &[u8]) -> Option<Message> {
        let Some((number, bytes)) = data.split_first() else {
            self.counts.malformed += 1;
            return None;
        };
        let Some(i) = self.find(header.source, header.destination) else {
            self.counts.stray_packets += 1;
            return None;
        };
        match self.sessions[i].packet(time, *number, bytes) {
            Packet::Taken => None,
            Packet::Malformed => {
                self.counts.malformed += 1;
                None
            }
            Packet::Lost => {
                self.sessions.swap_remove(i);
                self.counts.lost_packet += 1;
                None
            }
            Packet::Whole => {
                let Session { pgn, source, destination, data, .. } = self.sessions.swap_remove(i);
                self.counts.completed += 1;
                Some(Message { time, pgn, source, destination, data })
            }
        }
    }
}

/// The eight bytes of a frame of connection management about a message.
pub(super) fn control_frame(control: u8, more: [u8; 4], pgn: Pgn) -> [u8; 8] {
    let ([a, b, c, d], [p0, p1, p2, _]) = (more, pgn.number().to_le_bytes());
    [control, a, b, c, d, p0, p1, p2]
}

#[cfg(test)]
mod tests;
