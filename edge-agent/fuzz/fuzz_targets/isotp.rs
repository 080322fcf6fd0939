//! Any frames at any times are survived: what is received fits the bound, a link never spins, and
//! between two links that lose frames what comes is what was sent.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use edge_agent::{
    frame::{Frame, FrameId, FrameKind},
    isotp::{Address, Link, LinkEvent, LinkSettings},
};
use libfuzzer_sys::fuzz_target;
use wire::time::Timestamp;

/// Longest message of a run.
const PAYLOAD_BYTES_MAX: usize = 600;
/// Most frames that a message of it takes, in frames of 8 bytes with an address byte, and some more.
const FRAMES_AT_ONCE_MAX: usize = 128;

#[derive(Debug, Arbitrary)]
struct Input {
    lengths: [u8; 2],
    padding: Option<u8>,
    prefix: Option<u8>,
    block_size: u8,
    st_min_code: u8,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// Time goes on, or a clock is set back.
    Time(i32),
    /// To the moment the link itself waits for.
    Wake,
    Send(u16),
    SendToAll(u8),
    /// A frame of whatever bytes from the other side.
    Hear {
        is_fd: bool,
        data: Vec<u8>,
    },
    /// The other side, a link too, sends.
    OtherSends(u16),
    /// Frames go between both; of every so many one is lost.
    Exchange {
        lose_every: u8,
    },
    Reset,
}

fn message(count: u16, salt: u8) -> Vec<u8> {
    let count = usize::from(count) % PAYLOAD_BYTES_MAX + 1;
    (0..count).map(|i| (i as u8).wrapping_mul(7).wrapping_add(salt)).collect()
}

struct Run {
    link: Link,
    other: Link,
    now: Timestamp,
    /// What each side was last given to send.
    sent: [Vec<u8>; 2],
    /// Whether frames that no link sent have come: then anything may be received.
    is_disturbed: bool,
    salt: u8,
}

impl Run {
    fn events(&mut self) {
        while let Some(event) = self.link.take_event() {
            if let LinkEvent::Received { payload, .. } = event {
                assert!(!payload.is_empty() && payload.len() <= PAYLOAD_BYTES_MAX);
                assert!(self.is_disturbed || payload == self.sent[1]);
            }
        }
        while let Some(event) = self.other.take_event() {
            if let LinkEvent::Received { payload, .. } = event {
                assert!(self.is_disturbed || payload == self.sent[0]);
            }
        }
    }

    fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.link.take_frame(self.now) {
            assert!(matches!(frame.data().len(), 1..=8 | 12 | 16 | 20 | 24 | 32 | 48 | 64));
            frames.push(frame);
            assert!(frames.len() <= FRAMES_AT_ONCE_MAX, "frames without end");
        }
        frames
    }

    fn tick(&mut self) {
        self.link.tick(self.now);
        self.other.tick(self.now);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Time(us) => {
                self.now = Timestamp(self.now.0.saturating_add(i64::from(*us)));
                self.tick();
            }
            Step::Wake => {
                if let Some(at) = self.link.wake_at() {
                    self.now = self.now.max(at);
                    self.tick();
                    self.frames();
                    // What was due is done.
                    assert!(self.link.wake_at().is_none_or(|at| at > self.now), "{:?}", self.link);
                }
            }
            Step::Send(count) => {
                let payload = message(*count, self.salt);
                if self.link.send(&payload, self.now).is_ok() {
                    self.sent[0] = payload;
                }
            }
            Step::SendToAll(count) => {
                let id = FrameId { raw: 0x7DF, is_extended: false };
                let _ = self.link.send_functional(&message(u16::from(*count % 70), self.salt), id, self.now);
            }
            Step::Hear { is_fd, data } => {
                self.is_disturbed = true;
                let kind = if *is_fd { FrameKind::Fd } else { FrameKind::Data };
                let id = self.link.address().receive_id;
                let data = data.get(..64).unwrap_or(data);
                if let Some(frame) = Frame::new(self.now, Arc::from("can0"), id, kind, data) {
                    self.link.observe(&frame);
                }
            }
            Step::OtherSends(count) => {
                let payload = message(*count, self.salt.wrapping_add(101));
                if self.other.send(&payload, self.now).is_ok() {
                    self.sent[1] = payload;
                }
            }
            Step::Exchange { lose_every } => self.exchange(*lose_every),
            Step::Reset => {
                self.link.reset();
                self.other.reset();
            }
        }
        self.salt = self.salt.wrapping_add(1);
        self.events();
    }

    fn exchange(&mut self, lose_every: u8) {
        let mut count = 0_u32;
        for _ in 0..FRAMES_AT_ONCE_MAX * 2 {
            let mut is_moving = false;
            self.tick();
            for is_ours in [true, false] {
                let (from, to) = if is_ours {
                    (&mut self.link, &mut self.other)
                } else {
                    (&mut self.other, &mut self.link)
                };
                let Some(frame) = from.take_frame(self.now) else { continue };
                (is_moving, count) = (true, count + 1);
                if lose_every == 0 || count % u32::from(lose_every) != 0 {
                    to.observe(&frame);
                }
            }
            self.events();
            if !is_moving {
                match [self.link.wake_at(), self.other.wake_at()].into_iter().flatten().min() {
                    Some(at) => self.now = self.now.max(at),
                    None => return,
                }
            }
        }
    }
}

fuzz_target!(|input: Input| {
    let id = |raw| FrameId { raw, is_extended: false };
    let address = match input.prefix {
        Some(prefix) => Address::extended(id(0x7E0), id(0x7E8), prefix, prefix.wrapping_add(1)),
        None => Address::normal(id(0x7E0), id(0x7E8)),
    };
    let settings = |length: u8| LinkSettings {
        payload_bytes_max: PAYLOAD_BYTES_MAX,
        frame_bytes: [8, 12, 16, 20, 24, 32, 48, 64][usize::from(length % 8)],
        padding: input.padding,
        block_size: input.block_size,
        st_min_code: input.st_min_code,
        ..LinkSettings::default()
    };
    let [ours, others] = input.lengths;
    let mut run = Run {
        link: Link::new(address, settings(ours), Arc::from("can0")),
        other: Link::new(address.turned(), settings(others), Arc::from("can0")),
        now: Timestamp(0),
        sent: [Vec::new(), Vec::new()],
        is_disturbed: false,
        salt: 0,
    };
    for step in input.steps.iter().take(400) {
        run.step(step);
    }
});
