//! Messages of more than 1785 bytes, put together from the extended transport protocol's frames
//! (J1939-21, 5.11; ISO 11783-3, 5.11), by a listener that takes no part.
//!
//! It runs between two units only. Before each part that the receiver has asked for, its sender
//! says by how much the packets' numbers are to be shifted (*data packet offset*), so that they may
//! go far beyond 255. One may run between two units beside a message of the transport protocol.
//!
//! Bounds: [`EXTENDED_PAYLOAD_BYTES_MAX`] of a message and [`EXTENDED_BYTES_MAX`] of all that are
//! under way on a bus. The standard allows 117 MB for one; what is beyond the bounds is refused and
//! counted, and what is under way goes on.

use wire::time::Timestamp;

use super::{
    super::{Header, Pgn, SourceAddress},
    ABORT, BACKWARDS_US, Message, PACKET_BYTES, PAYLOAD_BYTES_MAX, T1_US, T2_US, T3_US, T4_US,
    TransportCounts,
};

/// Longest message that is put together; lists of trouble codes are far shorter.
pub const EXTENDED_PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all messages that are put together on one bus at a time.
pub const EXTENDED_BYTES_MAX: usize = 256 * 1024;
/// Longest message of the standard: 2^24 - 1 packets.
const STANDARD_BYTES_MAX: usize = 0xFF_FFFF * PACKET_BYTES;

/// Control bytes of connection management (J1939-21, 5.11.3).
pub(crate) const EXTENDED_RTS: u8 = 20;
pub(crate) const EXTENDED_CTS: u8 = 21;
pub(crate) const DATA_PACKET_OFFSET: u8 = 22;
pub(crate) const EXTENDED_END_OF_MESSAGE: u8 = 23;

/// The long messages under way on one bus.
#[derive(Debug, Default)]
pub(super) struct Extended {
    sessions: Vec<Session>,
}

#[derive(Debug)]
struct Session {
    source: SourceAddress,
    destination: SourceAddress,
    pgn: Pgn,
    data: Vec<u8>,
    /// A bit a packet.
    received: Vec<u64>,
    received_count: usize,
    /// The part that is being sent; `None` before its offset was told.
    part: Option<Part>,
    last_time: Timestamp,
    deadline: Timestamp,
}

/// Packets that the receiver has asked for, as far as they have come.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// What is added to the packets' numbers.
    offset: usize,
    last_number: u8,
    number_max: u8,
}

impl Session {
    fn packet_count(&self) -> usize {
        self.data.len().div_ceil(PACKET_BYTES)
    }

    fn touch(&mut self, now: Timestamp, wait_us: i64) {
        self.last_time = now;
        self.deadline = now.plus_us(wait_us);
    }

    /// Takes a packet; `None` when it contradicts the session.
    fn packet(&mut self, now: Timestamp, number: u8, bytes: &[u8]) -> Option<()> {
        // Packets of a part ascend: others are of a next one whose offset was not heard, and in
        // this one they would be in the wrong place.
        let part = self.part.take().filter(|part| number > part.last_number && number <= part.number_max)?;
        let index = part.offset + usize::from(number) - 1;
        let from = index * PACKET_BYTES;
        let to = (from + PACKET_BYTES).min(self.data.len());
        self.part = (number < part.number_max).then_some(Part { last_number: number, ..part });
        // The last packet is filled up, but some units send it short.
        let (place, bytes) = (self.data.get_mut(from..to)?, bytes.get(..to.checked_sub(from)?)?);
        let (word, mask) = (self.received.get_mut(index / 64)?, 1_u64 << (index % 64));
        if *word & mask == 0 {
            *word |= mask;
            self.received_count += 1;
            place.copy_from_slice(bytes);
        }
        self.touch(now, if self.part.is_some() { T1_US } else { T3_US });
        Some(())
    }
}

impl Extended {
    /// Messages under way.
    pub(super) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Ends the sessions that have been silent for too long at `now`, and says how many.
    pub(super) fn expire(&mut self, now: Timestamp, patience_us: i64) -> u64 {
        let before = self.sessions.len();
        self.sessions
            .retain(|s| now <= s.deadline.plus_us(patience_us) && s.last_time.since_us(now) <= BACKWARDS_US);
        (before - self.sessions.len()) as u64
    }

    /// The first packet of a session that has not come, from 1; `None` when there is no such session.
    pub(super) fn first_missing(&self, source: SourceAddress, destination: SourceAddress) -> Option<u32> {
        let session = self.find(source, destination).and_then(|i| self.sessions.get(i))?;
        let missing = (0..session.packet_count()).find(|index| {
            session.received.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) == 0)
        })?;
        u32::try_from(missing + 1).ok()
    }

    fn find(&self, source: SourceAddress, destination: SourceAddress) -> Option<usize> {
        self.sessions.iter().position(|s| s.source == source && s.destination == destination)
    }

    /// Takes a frame of connection management.
    pub(super) fn control(
        &mut self,
        time: Timestamp,
        header: &Header,
        data: &[u8],
        counts: &mut TransportCounts,
    ) {
        let parts = data.first_chunk::<8>().and_then(|&[control, b1, b2, b3, b4, p0, p1, p2]| {
            Some((control, [b1, b2, b3, b4], Pgn::from_le_bytes([p0, p1, p2])?))
        });
        let Some((control, more, pgn)) = parts.filter(|_| header.destination != SourceAddress::GLOBAL) else {
            counts.malformed += 1;
            return;
        };
        let of = |found: Option<usize>| found.filter(|i| self.sessions[*i].pgn == pgn);
        let own = of(self.find(header.source, header.destination));
        // Of an answer, the session is the other way round.
        let answered = of(self.find(header.destination, header.source));
        let [count, number @ ..] = more;
        let number = u32::from_le_bytes([number[0], number[1], number[2], 0]) as usize;
        match control {
            EXTENDED_RTS => self.open(time, header, pgn, u32::from_le_bytes(more), counts),
            EXTENDED_CTS => {
                if let Some(session) = answered.and_then(|i| self.sessions.get_mut(i)) {
                    session.part = None;
                    session.touch(time, if count == 0 { T4_US } else { T2_US });
                }
            }
            DATA_PACKET_OFFSET => match own.and_then(|i| self.sessions.get_mut(i)) {
                Some(session) if count > 0 && number + usize::from(count) <= session.packet_count() => {
                    session.part = Some(Part { offset: number, last_number: 0, number_max: count });
                    session.touch(time, T1_US);
                }
                Some(_) => counts.malformed += 1,
                None => {}
            },
            EXTENDED_END_OF_MESSAGE => {
                // A whole one has been given and is gone; of this one a packet was not heard.
                if let Some(i) = answered {
                    self.sessions.swap_remove(i);
                    counts.lost_packet += 1;
                }
            }
            ABORT => {
                if let Some(i) = own.or(answered) {
                    self.sessions.swap_remove(i);
                    counts.aborted += 1;
                }
            }
            _ => counts.malformed += 1,
        }
    }

    fn open(
        &mut self,
        time: Timestamp,
        header: &Header,
        pgn: Pgn,
        byte_count: u32,
        counts: &mut TransportCounts,
    ) {
        let byte_count = byte_count as usize;
        let is_possible = (PAYLOAD_BYTES_MAX + 1..=STANDARD_BYTES_MAX).contains(&byte_count);
        if !is_possible || header.source.0 >= SourceAddress::NULL.0 {
            counts.malformed += 1;
            return;
        }
        if let Some(i) = self.find(header.source, header.destination) {
            self.sessions.swap_remove(i);
            counts.superseded += 1;
        }
        let bytes_held: usize = self.sessions.iter().map(|s| s.data.len()).sum();
        if byte_count > EXTENDED_PAYLOAD_BYTES_MAX || bytes_held + byte_count > EXTENDED_BYTES_MAX {
            counts.refused += 1;
            return;
        }
        self.sessions.push(Session {
            source: header.source,
            destination: header.destination,
            pgn,
            data: vec![0; byte_count],
            received: vec![0; byte_count.div_ceil(PACKET_BYTES).div_ceil(64)],
            received_count: 0,
            part: None,
            last_time: time,
            deadline: time.plus_us(T3_US),
        });
    }

    /// Takes a packet; the message it completes, if it does.
    pub(super) fn packet(
        &mut self,
        time: Timestamp,
        header: &Header,
        data: &[u8],
        counts: &mut TransportCounts,
    ) -> Option<Message> {
        let Some((number, bytes)) = data.split_first() else {
            counts.malformed += 1;
            return None;
        };
        let Some(i) = self.find(header.source, header.destination) else {
            counts.stray_packets += 1;
            return None;
        };
        let session = self.sessions.get_mut(i)?;
        if session.packet(time, *number, bytes).is_none() {
            counts.malformed += 1;
            return None;
        }
        if session.received_count < session.packet_count() {
            return None;
        }
        let Session { pgn, source, destination, data, .. } = self.sessions.swap_remove(i);
        counts.completed += 1;
        Some(Message { time, pgn, source, destination, data })
    }
}

#[cfg(test)]
mod tests;
