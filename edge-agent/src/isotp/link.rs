//! Both directions between two addresses.

use std::{collections::VecDeque, sync::Arc};

use wire::time::Timestamp;

use super::{
    Address, LinkFault, LinkSettings, SendError, micros,
    pdu::{self, FrameData, FrameWriter, Pdu},
    receive::{Reaction, Receiver},
    send::Sender,
};
use crate::frame::{Frame, FrameId, FrameKind};

/// Events kept for a caller who does not take them; the oldest go first.
const EVENTS_MAX: usize = 16;

/// What became of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// A message is out.
    Sent {
        /// When its last frame was taken.
        time: Timestamp,
    },
    /// A message could not be sent.
    SendFailed {
        /// Why.
        fault: LinkFault,
        /// When that was known.
        time: Timestamp,
    },
    /// A message of several frames has begun to come.
    Started {
        /// When its first frame came.
        time: Timestamp,
    },
    /// A whole message.
    Received {
        /// It.
        payload: Vec<u8>,
        /// When its last frame came.
        time: Timestamp,
    },
    /// A message that did not come whole.
    ReceiveFailed {
        /// Why.
        fault: LinkFault,
        /// When that was known.
        time: Timestamp,
    },
}

/// One pair of addresses and both directions between them.
#[derive(Debug)]
pub struct Link {
    address: Address,
    settings: LinkSettings,
    interface: Arc<str>,
    writer: FrameWriter,
    sender: Sender,
    /// Where the message that is being sent goes instead of the address's own id.
    functional_id: Option<FrameId>,
    receiver: Receiver,
    /// A flow control that waits to be taken, and since when.
    flow: Option<(FrameData, Timestamp)>,
    events: VecDeque<LinkEvent>,
}

impl Link {
    /// A link at rest.
    pub fn new(address: Address, settings: LinkSettings, interface: Arc<str>) -> Self {
        Self {
            address,
            settings,
            interface,
            writer: FrameWriter::new(address.send_prefix, &settings),
            sender: Sender::default(),
            functional_id: None,
            receiver: Receiver::default(),
            flow: None,
            events: VecDeque::new(),
        }
    }

    /// Its addresses.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Begins to send a message.
    pub fn send(&mut self, payload: &[u8], now: Timestamp) -> Result<(), SendError> {
        self.begin(payload, self.settings.payload_bytes_max, None, now)
    }

    /// Begins to send a message to all nodes that listen on `functional_id`; it must fit one frame
    /// (ISO 15765-2 8.3.2.4). Answers are taken from this link's node alone.
    pub fn send_functional(
        &mut self,
        payload: &[u8],
        functional_id: FrameId,
        now: Timestamp,
    ) -> Result<(), SendError> {
        self.begin(payload, self.writer.single_bytes_max(), Some(functional_id), now)
    }

    fn begin(
        &mut self,
        payload: &[u8],
        bytes_max: usize,
        functional_id: Option<FrameId>,
        now: Timestamp,
    ) -> Result<(), SendError> {
        if !self.sender.is_idle() {
            return Err(SendError::Busy);
        }
        if payload.is_empty() {
            return Err(SendError::Empty);
        }
        if payload.len() > bytes_max {
            return Err(SendError::TooLong { bytes: payload.len(), bytes_max });
        }
        self.functional_id = functional_id;
        self.sender.begin(payload, now);
        Ok(())
    }

    /// Gives up what is being sent and received, without an event.
    pub fn reset(&mut self) {
        self.sender.reset();
        self.receiver.reset();
        self.flow = None;
        self.events.clear();
    }

    /// Takes a frame of the bus; whether it was one of the other side's.
    pub fn observe(&mut self, frame: &Frame) -> bool {
        let is_data = matches!(frame.kind, FrameKind::Data | FrameKind::Fd);
        if !is_data || frame.id != self.address.receive_id {
            return false;
        }
        if let Some(prefix) = self.address.receive_prefix
            && frame.data().first() != Some(&prefix)
        {
            return false;
        }
        let prefix_bytes = usize::from(self.address.receive_prefix.is_some());
        let (now, frame_bytes) = (frame.time, frame.data().len());
        let reaction = match pdu::parse(frame.data(), prefix_bytes) {
            Ok(Pdu::Single(data)) => {
                self.interrupt(now);
                let event = LinkEvent::Received { payload: data.to_vec(), time: now };
                let fits = data.len() <= self.settings.payload_bytes_max;
                Reaction { flow: None, event: fits.then_some(event) }
            }
            Ok(Pdu::First { byte_count, data }) => {
                self.interrupt(now);
                self.receiver.first((byte_count, data), frame_bytes, &self.settings, now)
            }
            Ok(Pdu::Consecutive { sequence, data }) => {
                self.receiver.consecutive((sequence, data), frame_bytes, &self.settings, now)
            }
            Ok(Pdu::Flow(flow)) => {
                Reaction { flow: None, event: self.sender.flow(flow, &self.settings, now) }
            }
            Err(_) => Reaction::default(),
        };
        if let Some(flow) = reaction.flow {
            self.flow = Some((self.writer.flow(flow), now));
        }
        self.note(reaction.event);
        true
    }

    /// Table 23: a new message ends the one that was coming.
    fn interrupt(&mut self, now: Timestamp) {
        if self.receiver.interrupt() {
            self.flow = None;
            self.note(Some(LinkEvent::ReceiveFailed { fault: LinkFault::Interrupted, time: now }));
        }
    }

    /// Looks whether a wait is over.
    pub fn tick(&mut self, now: Timestamp) {
        if let Some((_, since)) = self.flow
            && since.plus_us(micros(self.settings.n_as)) < now
        {
            self.flow = None;
            if self.receiver.interrupt() {
                let fault = LinkFault::SendTimeout;
                self.note(Some(LinkEvent::ReceiveFailed { fault, time: now }));
            }
        }
        let event = self.sender.tick(&self.settings, now);
        self.note(event);
        let event = self.receiver.tick(now);
        self.note(event);
    }

    /// The next frame to put on the bus now.
    pub fn take_frame(&mut self, now: Timestamp) -> Option<Frame> {
        if let Some((data, _)) = self.flow.take() {
            return self.frame(self.address.send_id, &data, now);
        }
        let (data, is_out) = self.sender.take(&self.writer, &self.settings, now)?;
        let id = self.functional_id.unwrap_or(self.address.send_id);
        if is_out {
            self.functional_id = None;
            self.note(Some(LinkEvent::Sent { time: now }));
        }
        self.frame(id, &data, now)
    }

    fn frame(&self, id: FrameId, data: &FrameData, now: Timestamp) -> Option<Frame> {
        let kind = if self.writer.frame_bytes > 8 { FrameKind::Fd } else { FrameKind::Data };
        let frame = Frame::new(now, Arc::clone(&self.interface), id, kind, data.bytes())?;
        Some(frame.rate_switched(self.settings.is_rate_switched))
    }

    /// The oldest event not yet taken.
    pub fn take_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// When something is to be done without a frame from the bus.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let flow = self.flow.map(|(_, since)| since);
        let receive = self.receiver.deadline().map(|deadline| deadline.plus_us(1));
        [flow, receive, self.sender.wake_at()].into_iter().flatten().min()
    }

    fn note(&mut self, event: Option<LinkEvent>) {
        let Some(event) = event else { return };
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
