//! The sending side of a link: a message to frames, at the receiver's pace.

use wire::time::Timestamp;

use super::{
    LinkEvent, LinkFault, LinkSettings, micros,
    pdu::{Flow, FlowStatus, FrameData, FrameWriter, st_min_us},
};

#[derive(Debug)]
enum State {
    /// The single or first frame waits to be taken.
    Begin { since: Timestamp },
    /// Waiting for a flow control.
    Flow { deadline: Timestamp, waits: u32 },
    /// The next consecutive frame may be taken from this moment on.
    Ready { at: Timestamp, block_left: Option<u8>, st_min_us: i64 },
}

#[derive(Debug)]
struct Session {
    payload: Vec<u8>,
    offset: usize,
    sequence: u8,
    state: State,
}

#[derive(Debug, Default)]
pub(super) struct Sender {
    session: Option<Session>,
}

impl Sender {
    pub(super) fn is_idle(&self) -> bool {
        self.session.is_none()
    }

    pub(super) fn reset(&mut self) {
        self.session = None;
    }

    pub(super) fn begin(&mut self, payload: &[u8], now: Timestamp) {
        self.session = Some(Session {
            payload: payload.to_vec(),
            offset: 0,
            sequence: 1,
            state: State::Begin { since: now },
        });
    }

    /// The next frame, if one is due, and whether the message is out with it.
    pub(super) fn take(
        &mut self,
        writer: &FrameWriter,
        settings: &LinkSettings,
        now: Timestamp,
    ) -> Option<(FrameData, bool)> {
        let session = self.session.as_mut()?;
        let frame = match &mut session.state {
            State::Begin { .. } if session.payload.len() <= writer.single_bytes_max() => {
                session.offset = session.payload.len();
                writer.single(&session.payload)
            }
            State::Begin { .. } => {
                let (frame, taken) = writer.first(&session.payload);
                session.offset = taken;
                session.state = wait_for_flow(settings, now);
                frame
            }
            State::Ready { at, block_left, st_min_us } if *at <= now => {
                let left = session.payload.get(session.offset..).unwrap_or_default();
                let (frame, taken) = writer.consecutive(session.sequence, left);
                session.offset += taken;
                session.sequence = (session.sequence + 1) & 0x0F;
                *at = now.plus_us(*st_min_us);
                let is_block_out = block_left.as_mut().is_some_and(|left| {
                    *left = left.saturating_sub(1);
                    *left == 0
                });
                if is_block_out {
                    session.state = wait_for_flow(settings, now);
                }
                frame
            }
            State::Ready { .. } | State::Flow { .. } => return None,
        };
        let is_out = session.offset >= session.payload.len();
        if is_out {
            self.session = None;
        }
        Some((frame, is_out))
    }

    /// Takes a flow control; one that nothing waits for is ignored (table 23).
    pub(super) fn flow(&mut self, flow: Flow, settings: &LinkSettings, now: Timestamp) -> Option<LinkEvent> {
        let session = self.session.as_mut()?;
        let State::Flow { waits, .. } = session.state else { return None };
        let fault = match flow.status {
            FlowStatus::Continue => {
                let block_left = (flow.block_size != 0).then_some(flow.block_size);
                session.state = State::Ready { at: now, block_left, st_min_us: st_min_us(flow.st_min_code) };
                return None;
            }
            FlowStatus::Wait if waits < settings.waits_max => {
                let deadline = now.plus_us(micros(settings.n_bs));
                session.state = State::Flow { deadline, waits: waits + 1 };
                return None;
            }
            FlowStatus::Wait => LinkFault::Waits,
            FlowStatus::Overflow => LinkFault::Overflow,
            FlowStatus::Reserved(code) => LinkFault::FlowStatus(code),
        };
        self.session = None;
        Some(LinkEvent::SendFailed { fault, time: now })
    }

    pub(super) fn tick(&mut self, settings: &LinkSettings, now: Timestamp) -> Option<LinkEvent> {
        let (deadline, fault) = self.deadline(settings)?;
        if deadline >= now {
            return None;
        }
        self.session = None;
        Some(LinkEvent::SendFailed { fault, time: now })
    }

    /// When something is to be done: a frame to be taken, or a wait over.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.session.as_ref().map(|session| match session.state {
            State::Begin { since } => since,
            State::Flow { deadline, .. } => deadline.plus_us(1),
            State::Ready { at, .. } => at,
        })
    }

    fn deadline(&self, settings: &LinkSettings) -> Option<(Timestamp, LinkFault)> {
        let session = self.session.as_ref()?;
        Some(match session.state {
            State::Begin { since: at } | State::Ready { at, .. } => {
                (at.plus_us(micros(settings.n_as)), LinkFault::SendTimeout)
            }
            State::Flow { deadline, .. } => (deadline, LinkFault::FlowTimeout),
        })
    }
}

fn wait_for_flow(settings: &LinkSettings, now: Timestamp) -> State {
    State::Flow { deadline: now.plus_us(micros(settings.n_bs)), waits: 0 }
}
