//! The receiving side of a link: first and consecutive frames to a message.

use wire::time::Timestamp;

use super::{
    LinkEvent, LinkFault, LinkSettings, micros,
    pdu::{Flow, FlowStatus},
};

/// A message that is coming.
#[derive(Debug)]
struct Session {
    byte_count: usize,
    payload: Vec<u8>,
    next_sequence: u8,
    /// Data bytes of its full frames, `RX_DL` of 9.5.5: the first frame's.
    frame_bytes: usize,
    /// Consecutive frames until the next flow control is due; `None` for no further one.
    block_left: Option<u8>,
    deadline: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Receiver {
    session: Option<Session>,
}

/// What a frame led to.
#[derive(Debug, Default)]
pub(super) struct Reaction {
    pub(super) flow: Option<Flow>,
    pub(super) event: Option<LinkEvent>,
}

impl Receiver {
    /// Gives up what is coming.
    pub(super) fn reset(&mut self) {
        self.session = None;
    }

    /// Whether a message was coming, which it is no longer.
    pub(super) fn interrupt(&mut self) -> bool {
        self.session.take().is_some()
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.session.as_ref().map(|s| s.deadline)
    }

    /// Takes a first frame; what was coming has been given up.
    pub(super) fn first(
        &mut self,
        (byte_count, data): (u32, &[u8]),
        frame_bytes: usize,
        settings: &LinkSettings,
        now: Timestamp,
    ) -> Reaction {
        let count = usize::try_from(byte_count).unwrap_or(usize::MAX);
        if count > settings.payload_bytes_max {
            let fault = LinkFault::TooLong { bytes: byte_count };
            return Reaction {
                flow: Some(Flow { status: FlowStatus::Overflow, block_size: 0, st_min_code: 0 }),
                event: Some(LinkEvent::ReceiveFailed { fault, time: now }),
            };
        }
        self.session = Some(Session {
            byte_count: count,
            payload: data.to_vec(),
            next_sequence: 1,
            frame_bytes,
            block_left: block(settings),
            deadline: now.plus_us(micros(settings.n_cr)),
        });
        Reaction { flow: Some(go_on(settings)), event: Some(LinkEvent::Started { time: now }) }
    }

    /// Takes a consecutive frame; one that nothing waits for is ignored (table 23).
    pub(super) fn consecutive(
        &mut self,
        (sequence, data): (u8, &[u8]),
        frame_bytes: usize,
        settings: &LinkSettings,
        now: Timestamp,
    ) -> Reaction {
        let Some(session) = &mut self.session else { return Reaction::default() };
        let missing = session.byte_count - session.payload.len();
        // 9.6.4: only the last frame may be shorter than the first, and it must hold what is left.
        if data.len() < missing && frame_bytes != session.frame_bytes {
            return Reaction::default();
        }
        if sequence != session.next_sequence {
            let fault = LinkFault::WrongSequence { expected: session.next_sequence, got: sequence };
            self.session = None;
            return failed(fault, now);
        }
        session.payload.extend(data.iter().take(missing));
        if session.payload.len() == session.byte_count {
            let payload = std::mem::take(&mut session.payload);
            self.session = None;
            return Reaction { flow: None, event: Some(LinkEvent::Received { payload, time: now }) };
        }
        session.next_sequence = (sequence + 1) & 0x0F;
        session.deadline = now.plus_us(micros(settings.n_cr));
        let mut flow = None;
        if let Some(left) = &mut session.block_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                session.block_left = block(settings);
                flow = Some(go_on(settings));
            }
        }
        Reaction { flow, event: None }
    }

    pub(super) fn tick(&mut self, now: Timestamp) -> Option<LinkEvent> {
        self.deadline().filter(|deadline| *deadline < now)?;
        self.session = None;
        failed(LinkFault::ConsecutiveTimeout, now).event
    }
}

fn block(settings: &LinkSettings) -> Option<u8> {
    (settings.block_size != 0).then_some(settings.block_size)
}

fn go_on(settings: &LinkSettings) -> Flow {
    Flow { status: FlowStatus::Continue, block_size: settings.block_size, st_min_code: settings.st_min_code }
}

fn failed(fault: LinkFault, time: Timestamp) -> Reaction {
    Reaction { flow: None, event: Some(LinkEvent::ReceiveFailed { fault, time }) }
}
