//! A unit that takes part on a J1939 bus: it has an address, asks and answers, and sends and takes
//! messages of any length.
//!
//! Sans-IO: it is shown the bus's frames and the time, and gives the frames it sends. Below it:
//! `claim.rs` holds its address (J1939-81), `sending.rs` cuts a long message up and waits for who
//! takes it, `taking.rs` grants a sender the packets of one (J1939-21, 5.10). It sends nothing but
//! its claim before the address is its own.
//!
//! Bounds: [`WAITING_MAX`] messages to send of [`EXTENDED_PAYLOAD_BYTES_MAX`] each, [`EVENTS_MAX`]
//! events not taken (the oldest go first), and in `taking.rs` the messages taken at once.

use std::{collections::VecDeque, fmt, sync::Arc};

use wire::time::Timestamp;

use super::{
    EXTENDED_PAYLOAD_BYTES_MAX, Header, Message, Name, PAYLOAD_BYTES_MAX, Pgn, SourceAddress, header_of,
};
use crate::frame::{Frame, FrameKind};

mod claim;
mod sending;
mod taking;

use claim::Claim;
use sending::Sending;
pub use sending::Undelivered;
use taking::Taking;

/// Most messages that wait to be sent.
pub const WAITING_MAX: usize = 64;
/// Most events kept for a caller who does not take them.
pub const EVENTS_MAX: usize = 256;

/// Data bytes of a frame.
const FRAME_BYTES: usize = 8;
/// What unused bytes of a frame are (J1939-21, 5.1.5).
const FILL: u8 = 0xFF;
/// Priority of most messages (J1939-21, 5.2.1).
const PRIORITY: u8 = 6;
/// Priority of the transport protocol's frames (J1939-21, 5.10.3).
const TRANSPORT_PRIORITY: u8 = 7;

/// How a request was taken (J1939-21, 5.4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It was done.
    Positive,
    /// The message is not known.
    Negative,
    /// Not to this asker, or not now.
    AccessDenied,
    /// Busy; ask again.
    CannotRespond,
}

impl fmt::Display for Acknowledgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Acknowledgement::Positive => "done",
            Acknowledgement::Negative => "not supported",
            Acknowledgement::AccessDenied => "access denied",
            Acknowledgement::CannotRespond => "cannot respond now",
        })
    }
}

impl Acknowledgement {
    /// Of its control byte.
    pub fn of(control: u8) -> Option<Self> {
        Some(match control {
            0 => Acknowledgement::Positive,
            1 => Acknowledgement::Negative,
            2 => Acknowledgement::AccessDenied,
            3 => Acknowledgement::CannotRespond,
            _ => return None,
        })
    }

    fn control(self) -> u8 {
        match self {
            Acknowledgement::Positive => 0,
            Acknowledgement::Negative => 1,
            Acknowledgement::AccessDenied => 2,
            Acknowledgement::CannotRespond => 3,
        }
    }
}

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Its NAME; of two units that want one address the lower has it.
    pub name: Name,
    /// The address it would have.
    pub address: SourceAddress,
    /// Its interface.
    pub interface: Arc<str>,
}

/// What came to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// Somebody asks for a message, of this node or of everyone.
    Asked {
        /// When.
        time: Timestamp,
        /// For which.
        pgn: Pgn,
        /// Who.
        by: SourceAddress,
        /// Whether everyone was asked: who does not have it is silent then.
        is_global: bool,
    },
    /// How another unit took a request of this node.
    Acknowledged {
        /// Which request.
        pgn: Pgn,
        /// Who.
        by: SourceAddress,
        /// How.
        how: Acknowledgement,
    },
    /// A message to this node alone.
    Message(Message),
    /// A message of this node did not reach whom it was for.
    Undelivered {
        /// Which.
        pgn: Pgn,
        /// Whom it was for.
        to: SourceAddress,
        /// Why.
        why: Undelivered,
    },
}

/// Why a message is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendRefusal {
    /// The node has lost its address to a unit of higher priority, and found no other.
    #[error("there is no address left for this unit on the bus")]
    NoAddress,
    /// There are too many already.
    #[error("too many messages wait to be sent")]
    Full,
    /// It is empty, or longer than is sent.
    #[error("a message has 1 to 1785 bytes, to one unit up to {EXTENDED_PAYLOAD_BYTES_MAX}")]
    Length,
}

#[derive(Debug)]
struct Outgoing {
    priority: u8,
    pgn: Pgn,
    to: SourceAddress,
    data: Vec<u8>,
}

/// A unit on one bus.
#[derive(Debug)]
pub struct Node {
    interface: Arc<str>,
    claim: Claim,
    waiting: VecDeque<Outgoing>,
    /// Frames of answers to the transport protocol and to address claims: they go before messages.
    urgent: VecDeque<(Header, [u8; FRAME_BYTES])>,
    sending: Option<Sending>,
    taking: Taking,
    events: VecDeque<NodeEvent>,
}

impl Node {
    /// A unit that comes onto the bus: it claims its address first.
    pub fn new(settings: NodeSettings) -> Self {
        Self {
            interface: settings.interface,
            claim: Claim::new(settings.name, settings.address),
            waiting: VecDeque::new(),
            urgent: VecDeque::new(),
            sending: None,
            taking: Taking::default(),
            events: VecDeque::new(),
        }
    }

    /// Its address, once it is its own.
    pub fn address(&self) -> Option<SourceAddress> {
        self.claim.held()
    }

    /// Whether the frame is one of its own, which an interface may give back.
    pub fn is_own(&self, header: &Header) -> bool {
        self.claim.wanted() == Some(header.source) && header.pgn != Pgn::ADDRESS_CLAIMED
    }

    /// Sends a message: in one frame, as a broadcast, or by a connection.
    pub fn send(&mut self, pgn: Pgn, to: SourceAddress, data: &[u8]) -> Result<(), SendRefusal> {
        // The extended protocol has no broadcast.
        let is_for_all = to == SourceAddress::GLOBAL;
        let bytes_max = if is_for_all { PAYLOAD_BYTES_MAX } else { EXTENDED_PAYLOAD_BYTES_MAX };
        if data.is_empty() || data.len() > bytes_max {
            return Err(SendRefusal::Length);
        }
        if self.claim.wanted().is_none() {
            return Err(SendRefusal::NoAddress);
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(SendRefusal::Full);
        }
        self.waiting.push_back(Outgoing { priority: PRIORITY, pgn, to, data: data.to_vec() });
        Ok(())
    }

    /// Asks for a message (J1939-21, 5.4.2).
    pub fn ask(&mut self, pgn: Pgn, of: SourceAddress) -> Result<(), SendRefusal> {
        let [low, middle, high, _] = pgn.number().to_le_bytes();
        self.send(Pgn::REQUEST, of, &[low, middle, high])
    }

    /// Says how a request was taken; everyone hears it, and `to` is named in it (J1939-21, 5.4.4).
    pub fn acknowledge(
        &mut self,
        pgn: Pgn,
        to: SourceAddress,
        how: Acknowledgement,
    ) -> Result<(), SendRefusal> {
        let [low, middle, high, _] = pgn.number().to_le_bytes();
        let data = [how.control(), FILL, FILL, FILL, to.0, low, middle, high];
        self.send(Pgn::ACKNOWLEDGEMENT, SourceAddress::GLOBAL, &data)
    }

    /// Whether no message waits or is on its way.
    pub fn is_idle(&self) -> bool {
        self.sending.is_none() && self.waiting.is_empty()
    }

    /// Forgets what is on its way, for a bus that is switched off.
    pub fn rest(&mut self) {
        self.sending = None;
        self.taking = Taking::default();
        self.urgent.clear();
        self.waiting.clear();
        self.events.clear();
    }

    /// Takes a frame of the bus.
    pub fn observe(&mut self, frame: &Frame) {
        let Some(header) = header_of(frame).filter(|_| frame.interface == self.interface) else { return };
        let (data, now) = (frame.data(), frame.time);
        if header.pgn == Pgn::ADDRESS_CLAIMED {
            if let Some(bytes) = data.first_chunk::<8>() {
                self.claim.heard(header.source, Name(u64::from_le_bytes(*bytes)), now);
            }
            return;
        }
        let is_global = header.destination == SourceAddress::GLOBAL;
        let own = self.claim.held();
        if header.pgn == Pgn::REQUEST && (is_global || own == Some(header.destination)) {
            self.take_request(&header, data, now, is_global);
            return;
        }
        let Some(own) = own.filter(|own| header.source != *own) else { return };
        match header.pgn {
            Pgn::ACKNOWLEDGEMENT => self.take_acknowledgement(own, &header, data),
            _ if header.destination != own => {}
            Pgn::TRANSPORT_CONTROL | Pgn::EXTENDED_TRANSPORT_CONTROL => {
                if let Some(sending) = self.sending.as_mut().filter(|s| s.to() == header.source) {
                    sending.control(header.pgn, data, now);
                }
                self.taking.control(own, &header, data, now, &mut self.urgent);
            }
            Pgn::TRANSPORT_DATA | Pgn::EXTENDED_TRANSPORT_DATA => {
                if let Some(message) = self.taking.packet(own, &header, data, now, &mut self.urgent) {
                    self.put(NodeEvent::Message(message));
                }
            }
            pgn => {
                let (source, destination) = (header.source, header.destination);
                let message = Message { time: now, pgn, source, destination, data: data.to_vec() };
                self.put(NodeEvent::Message(message));
            }
        }
    }

    fn take_request(&mut self, header: &Header, data: &[u8], time: Timestamp, is_global: bool) {
        let Some(pgn) = data.first_chunk::<3>().and_then(|bytes| Pgn::from_le_bytes(*bytes)) else { return };
        if pgn == Pgn::ADDRESS_CLAIMED {
            self.claim.asked(time);
        } else if self.claim.held().is_some_and(|own| own != header.source) {
            self.put(NodeEvent::Asked { time, pgn, by: header.source, is_global });
        }
    }

    fn take_acknowledgement(&mut self, own: SourceAddress, header: &Header, data: &[u8]) {
        let Some(&[control, _, _, _, to, p0, p1, p2]) = data.first_chunk::<8>() else { return };
        let is_for_us = header.destination == own || to == own.0;
        let pgn = Pgn::from_le_bytes([p0, p1, p2]).filter(|_| is_for_us);
        if let Some((pgn, how)) = pgn.zip(Acknowledgement::of(control)) {
            self.put(NodeEvent::Acknowledged { pgn, by: header.source, how });
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Timestamp) {
        self.claim.tick(now);
        let Some(own) = self.claim.held() else {
            // What was under way went from an address that is another's now.
            self.sending = None;
            self.taking = Taking::default();
            self.urgent.clear();
            if self.claim.wanted().is_none() {
                self.waiting.clear();
            }
            return;
        };
        self.taking.tick(own, now, &mut self.urgent);
        if let Some(sending) = &mut self.sending {
            sending.tick(now);
            if let Some(result) = sending.result() {
                let (pgn, to) = (sending.pgn(), sending.to());
                self.sending = None;
                if let Err(why) = result {
                    self.put(NodeEvent::Undelivered { pgn, to, why });
                }
            }
        }
    }

    /// The next frame it sends now.
    pub fn take_frame(&mut self, now: Timestamp) -> Option<Frame> {
        self.tick(now);
        if let Some((source, name)) = self.claim.take(now) {
            let (pgn, destination) = (Pgn::ADDRESS_CLAIMED, SourceAddress::GLOBAL);
            let header = Header { priority: PRIORITY, pgn, source, destination };
            return self.frame(header, &name.0.to_le_bytes(), now);
        }
        let own = self.claim.held()?;
        if let Some((header, data)) = self.urgent.pop_front() {
            return self.frame(header, &data, now);
        }
        if let Some(sending) = &mut self.sending {
            if let Some((pgn, data)) = sending.take(now) {
                let destination = sending.to();
                let header = Header { priority: TRANSPORT_PRIORITY, pgn, source: own, destination };
                return self.frame(header, &data, now);
            }
            // Short messages need not wait for a long one.
            let at = self.waiting.iter().position(|message| message.data.len() <= FRAME_BYTES)?;
            return self.waiting.remove(at).and_then(|message| self.single(own, &message, now));
        }
        let message = self.waiting.pop_front()?;
        if message.data.len() <= FRAME_BYTES {
            return self.single(own, &message, now);
        }
        self.sending = Some(Sending::new(message.pgn, message.to, message.data));
        self.take_frame(now)
    }

    /// What has come, in its order.
    pub fn take_event(&mut self) -> Option<NodeEvent> {
        self.events.pop_front()
    }

    /// When it has something to do without a frame.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let has_work = !self.urgent.is_empty() || (self.sending.is_none() && !self.waiting.is_empty());
        let now = (has_work && self.claim.held().is_some()).then_some(Timestamp(i64::MIN));
        let sending = self.sending.as_ref().and_then(Sending::wake_at);
        [now, self.claim.wake_at(), self.taking.wake_at(), sending].into_iter().flatten().min()
    }

    fn single(&self, source: SourceAddress, message: &Outgoing, now: Timestamp) -> Option<Frame> {
        let Outgoing { priority, pgn, to: destination, .. } = *message;
        self.frame(Header { priority, pgn, source, destination }, &message.data, now)
    }

    fn frame(&self, header: Header, data: &[u8], now: Timestamp) -> Option<Frame> {
        Frame::new(now, Arc::clone(&self.interface), header.id(), FrameKind::Data, data)
    }

    fn put(&mut self, event: NodeEvent) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

#[cfg(test)]
mod tests;
