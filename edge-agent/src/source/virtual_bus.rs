//! A bus in process: several endpoints that hear each other, with loss and delay by seed.
//!
//! Its time is moved by hand ([`VirtualBus::advance_to`]), so a test says when a frame arrives.
//! An endpoint is a [`Source`]; its [`BusWriter`] sends to all the others. Frames keep their order,
//! as on a bus. An endpoint's queue is bounded; what finds it full is *shed* and counted.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use wire::time::Timestamp;

use super::{BusWriter, Polled, Source, SourceError};
use crate::frame::Frame;

/// A bus and its flaws.
#[derive(Debug, Clone)]
pub struct VirtualBusSettings {
    /// The interface its frames carry.
    pub interface: Arc<str>,
    /// Frames an endpoint can have waiting.
    pub queue_frames_max: usize,
    /// Share of frames that nobody hears, 0 to 1.
    pub loss: f64,
    /// Longest time from sender to hearer.
    pub delay_max: Duration,
    /// Where chance comes from.
    pub seed: u64,
}

impl Default for VirtualBusSettings {
    fn default() -> Self {
        Self {
            interface: Arc::from("vbus0"),
            queue_frames_max: 4096,
            loss: 0.0,
            delay_max: Duration::ZERO,
            seed: 1,
        }
    }
}

/// What a bus has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VirtualBusCounts {
    /// Frames sent.
    pub sent: u64,
    /// Of them, frames nobody heard.
    pub lost: u64,
    /// Frames that found a queue full.
    pub shed: u64,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    queues: Vec<VecDeque<Frame>>,
    last_arrival: Timestamp,
    chance: u64,
    is_closed: bool,
    counts: VirtualBusCounts,
}

#[derive(Debug)]
struct Shared {
    settings: VirtualBusSettings,
    state: Mutex<State>,
    moved: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bus.
#[derive(Debug, Clone)]
pub struct VirtualBus {
    shared: Arc<Shared>,
}

impl VirtualBus {
    /// A bus at time `now`.
    pub fn new(settings: VirtualBusSettings, now: Timestamp) -> Self {
        let state = State {
            now,
            queues: Vec::new(),
            last_arrival: now,
            chance: settings.seed,
            is_closed: false,
            counts: VirtualBusCounts::default(),
        };
        Self { shared: Arc::new(Shared { settings, state: Mutex::new(state), moved: Condvar::new() }) }
    }

    /// One more node.
    pub fn endpoint(&self) -> VirtualEndpoint {
        let mut state = self.shared.state();
        state.queues.push(VecDeque::new());
        VirtualEndpoint { shared: Arc::clone(&self.shared), place: state.queues.len() - 1 }
    }

    /// Moves its time on; it does not go back.
    pub fn advance_to(&self, now: Timestamp) {
        let mut state = self.shared.state();
        state.now = state.now.max(now);
        self.shared.moved.notify_all();
    }

    /// Its time.
    pub fn now(&self) -> Timestamp {
        self.shared.state().now
    }

    /// Ends it: endpoints come to their end after what has arrived.
    pub fn close(&self) {
        self.shared.state().is_closed = true;
        self.shared.moved.notify_all();
    }

    /// What it has carried.
    pub fn counts(&self) -> VirtualBusCounts {
        self.shared.state().counts
    }
}

/// A node on the bus.
#[derive(Debug)]
pub struct VirtualEndpoint {
    shared: Arc<Shared>,
    place: usize,
}

impl VirtualEndpoint {
    /// What it sends with.
    pub fn writer(&self) -> VirtualWriter {
        VirtualWriter { shared: Arc::clone(&self.shared), place: self.place }
    }
}

/// The sending side of a node.
#[derive(Debug)]
pub struct VirtualWriter {
    shared: Arc<Shared>,
    place: usize,
}

impl BusWriter for VirtualWriter {
    fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let settings = &self.shared.settings;
        let mut state = self.shared.state();
        if state.is_closed {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the bus has ended"));
        }
        state.counts.sent += 1;
        let (loss, delay) = (state.share(), state.share());
        if loss < settings.loss {
            state.counts.lost += 1;
            return Ok(());
        }
        let delay_us = delay * settings.delay_max.as_secs_f64() * 1e6;
        #[allow(clippy::cast_possible_truncation, reason = "a float cast saturates")]
        let arrival = state.now.plus_us(delay_us as i64).max(state.last_arrival);
        state.last_arrival = arrival;
        let mut heard = frame.clone();
        heard.time = arrival;
        heard.interface = Arc::clone(&settings.interface);
        let State { queues, counts, .. } = &mut *state;
        for (place, queue) in queues.iter_mut().enumerate() {
            if place == self.place {
                continue;
            }
            if queue.len() < settings.queue_frames_max {
                queue.push_back(heard.clone());
            } else {
                counts.shed += 1;
            }
        }
        self.shared.moved.notify_all();
        Ok(())
    }
}

impl State {
    /// A share by chance, 0 to 1: splitmix64.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit a float")]
    fn share(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// What has arrived at that place by now.
    fn arrived(&mut self, place: usize) -> Option<Polled> {
        let (now, is_closed) = (self.now, self.is_closed);
        let queue = self.queues.get_mut(place)?;
        match queue.pop_front_if(|frame| frame.time <= now) {
            Some(frame) => Some(Polled::Frame(Box::new(frame))),
            None => is_closed.then_some(Polled::End),
        }
    }
}

impl Source for VirtualEndpoint {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let mut state = self.shared.state();
        loop {
            match state.arrived(self.place) {
                Some(Polled::Frame(frame)) => return Ok(Some(*frame)),
                Some(Polled::End | Polled::Quiet) => return Ok(None),
                None => state = self.shared.moved.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn next_within(&mut self, wait: Duration) -> Result<Polled, SourceError> {
        let mut state = self.shared.state();
        if let Some(polled) = state.arrived(self.place) {
            return Ok(polled);
        }
        if wait.is_zero() {
            return Ok(Polled::Quiet);
        }
        let waited = self.shared.moved.wait_timeout(state, wait);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok(state.arrived(self.place).unwrap_or(Polled::Quiet))
    }

    fn bus_writer(&mut self, interface: &str) -> Option<Box<dyn BusWriter>> {
        (interface == &*self.shared.settings.interface).then(|| Box::new(self.writer()) as Box<dyn BusWriter>)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

    use super::*;
    use crate::frame::{FrameId, FrameKind};

    fn frame(byte: u8) -> Frame {
        let id = FrameId { raw: 1, is_extended: false };
        Frame::new(Timestamp(0), Arc::from("elsewhere"), id, FrameKind::Data, &[byte]).unwrap()
    }

    fn heard(endpoint: &mut VirtualEndpoint) -> Option<u8> {
        match endpoint.next_within(Duration::ZERO).unwrap() {
            Polled::Frame(frame) => Some(frame.data()[0]),
            Polled::Quiet | Polled::End => None,
        }
    }

    #[test]
    fn frames_arrive_in_order_at_their_time_and_not_at_their_sender() {
        let delay_max = Duration::from_millis(50);
        let bus = VirtualBus::new(VirtualBusSettings { delay_max, ..Default::default() }, Timestamp(0));
        let (mut a, mut b) = (bus.endpoint(), bus.endpoint());
        assert!(b.bus_writer("can7").is_none());
        let mut writer = a.bus_writer("vbus0").unwrap();
        (0..20).for_each(|byte| writer.send(&frame(byte)).unwrap());
        bus.advance_to(Timestamp(50_000));
        let arrived: Vec<u8> = std::iter::from_fn(|| heard(&mut b)).collect();
        assert_eq!(arrived, (0..20).collect::<Vec<_>>());
        assert_eq!(heard(&mut a), None);
        bus.close();
        assert_eq!(b.next_within(Duration::ZERO).unwrap(), Polled::End);
        assert!(writer.send(&frame(1)).is_err());
    }

    #[test]
    fn what_is_lost_or_finds_a_full_queue_is_counted() {
        let settings = VirtualBusSettings { queue_frames_max: 10, loss: 0.5, ..Default::default() };
        let bus = VirtualBus::new(settings, Timestamp(0));
        let (a, mut b) = (bus.endpoint(), bus.endpoint());
        (0..100).for_each(|byte| a.writer().send(&frame(byte)).unwrap());
        let arrived = std::iter::from_fn(|| heard(&mut b)).count();
        let counts = bus.counts();
        assert_eq!((arrived, counts.sent), (10, 100));
        assert!((30..70).contains(&counts.lost));
        assert_eq!(counts.sent, counts.lost + counts.shed + 10);
    }
}
