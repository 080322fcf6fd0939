//! Several sources as one: a bus in front, and beside it what is slow, each on its own thread.
//!
//! The first source is pulled on the caller's thread, so that its frames make no detour. The
//! others put their frames into a bounded channel; when it is full they *shed*, counted. They are
//! few and slow (a receiver, the unit's own state), so their frames go first.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tracing::{error, warn};

use super::{BusWriter, Polled, Source, SourceCounts, SourceError};
use crate::frame::Frame;

/// Frames of the side sources that wait: over a minute of a receiver at 10 Hz.
const QUEUE_FRAMES_MAX: usize = 2048;

/// Longest wait for the threads of the side sources to end.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often they are looked at meanwhile.
const JOIN_STEP: Duration = Duration::from_millis(10);

/// Something beside the bus that makes frames on a thread of its own until it is told to stop.
pub(crate) trait SideSource: Send {
    /// What its thread is called.
    fn name(&self) -> &'static str;
    /// Makes frames until [`FrameSink::is_stopped`]; it waits no longer than a second without
    /// asking.
    fn run(self: Box<Self>, sink: &FrameSink);
}

/// Where a side source puts its frames.
#[derive(Debug)]
pub(crate) struct FrameSink {
    sender: SyncSender<Frame>,
    state: Arc<SideState>,
}

#[derive(Debug, Default)]
struct SideState {
    is_stopped: Mutex<bool>,
    stopped: Condvar,
    shed: AtomicU64,
    damaged: AtomicU64,
    losses: AtomicU64,
}

impl FrameSink {
    /// Puts a frame in; one that finds no room is shed and counted.
    pub(crate) fn put(&self, frame: Frame) {
        if self.sender.try_send(frame).is_err() {
            self.state.shed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts something that could not be read.
    pub(crate) fn count_damaged(&self) {
        self.state.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that was lost.
    pub(crate) fn count_loss(&self) {
        self.state.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether to end.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.state.is_stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; ends early, with `true`, when told to stop.
    pub(crate) fn wait(&self, wait: Duration) -> bool {
        let guard = self.state.is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.state.stopped.wait_timeout_while(guard, wait, |is_stopped| !*is_stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A bus and what is beside it.
pub(crate) struct Merge {
    bus: Box<dyn Source + Send>,
    side: Receiver<Frame>,
    state: Arc<SideState>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Merge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Merge {
    /// Starts the side sources.
    pub(crate) fn new(bus: Box<dyn Source + Send>, sides: Vec<Box<dyn SideSource>>) -> std::io::Result<Self> {
        let (sender, side) = sync_channel(QUEUE_FRAMES_MAX);
        let state = Arc::new(SideState::default());
        let mut merge = Self { bus, side, state: Arc::clone(&state), threads: Vec::new() };
        for source in sides {
            let sink = FrameSink { sender: sender.clone(), state: Arc::clone(&state) };
            let name = source.name();
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                let run = std::panic::AssertUnwindSafe(|| source.run(&sink));
                if std::panic::catch_unwind(run).is_err() {
                    error!(source = name, "a source beside the bus has failed and gives nothing more");
                    sink.count_loss();
                }
            })?;
            merge.threads.push(thread);
        }
        Ok(merge)
    }
}

impl Drop for Merge {
    /// The threads see it within a second and end. One that hangs in a device is not waited for
    /// any longer than [`JOIN_WAIT_MAX`].
    fn drop(&mut self) {
        *self.state.is_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.state.stopped.notify_all();
        let mut left = JOIN_WAIT_MAX;
        while !left.is_zero() && !self.threads.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(JOIN_STEP);
            left = left.saturating_sub(JOIN_STEP);
        }
        for thread in self.threads.drain(..) {
            if thread.is_finished() {
                // A panic is caught and told where it happens.
                drop(thread.join());
            } else {
                let name = thread.thread().name().unwrap_or_default().to_owned();
                warn!(source = name, "a source beside the bus does not stop; it is left behind");
            }
        }
    }
}

impl Source for Merge {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        loop {
            match self.next_within(Duration::from_millis(100))? {
                Polled::Frame(frame) => return Ok(Some(*frame)),
                Polled::Quiet => {}
                Polled::End => return Ok(None),
            }
        }
    }

    fn next_within(&mut self, wait: Duration) -> Result<Polled, SourceError> {
        match self.side.try_recv() {
            Ok(frame) => Ok(Polled::Frame(Box::new(frame))),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => self.bus.next_within(wait),
        }
    }

    fn counts(&self) -> SourceCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.bus.counts().plus(SourceCounts {
            shed: get(&self.state.shed),
            damaged: get(&self.state.damaged),
            interface_losses: get(&self.state.losses),
            ..SourceCounts::default()
        })
    }

    fn bus_writer(&mut self, interface: &str) -> Option<Box<dyn BusWriter>> {
        self.bus.bus_writer(interface)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

    use wire::time::Timestamp;

    use super::*;
    use crate::frame::{FrameId, FrameKind};

    fn frame(raw: u32) -> Frame {
        let id = FrameId { raw, is_extended: true };
        Frame::new(Timestamp(0), "t".into(), id, FrameKind::Data, &[1]).unwrap()
    }

    struct Quiet;
    impl Source for Quiet {
        fn next(&mut self) -> Result<Option<Frame>, SourceError> {
            Ok(None)
        }
        fn next_within(&mut self, _wait: Duration) -> Result<Polled, SourceError> {
            Ok(Polled::Quiet)
        }
    }

    struct Flood(SyncSender<bool>);
    impl SideSource for Flood {
        fn name(&self) -> &'static str {
            "flood"
        }
        fn run(self: Box<Self>, sink: &FrameSink) {
            for i in 0..5000 {
                sink.put(frame(i));
            }
            self.0.send(true).unwrap();
            // A test that hangs here says that a drop stops nobody.
            while !sink.wait(Duration::from_secs(60)) {}
            self.0.send(sink.is_stopped()).unwrap();
        }
    }

    struct Faulty;
    impl SideSource for Faulty {
        fn name(&self) -> &'static str {
            "faulty"
        }
        fn run(self: Box<Self>, sink: &FrameSink) {
            sink.put(frame(7));
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }

    #[test]
    fn what_finds_no_room_is_shed_and_counted_and_a_drop_stops_the_threads() {
        let (sender, done) = sync_channel(4);
        let mut merge = Merge::new(Box::new(Quiet), vec![Box::new(Flood(sender))]).unwrap();
        assert!(done.recv().unwrap());
        let mut taken = 0;
        while let Polled::Frame(_) = merge.next_within(Duration::ZERO).unwrap() {
            taken += 1;
        }
        assert_eq!((taken, merge.counts().shed), (QUEUE_FRAMES_MAX as u64, 5000 - QUEUE_FRAMES_MAX as u64));
        drop(merge);
        // It has ended already: a drop waits for it.
        assert_eq!(done.try_recv(), Ok(true));
    }

    #[test]
    fn a_side_source_that_fails_does_not_end_the_bus() {
        let mut merge = Merge::new(Box::new(Quiet), vec![Box::new(Faulty)]).unwrap();
        assert_eq!(merge.next().unwrap().unwrap().id.raw, 7);
        while merge.counts().interface_losses == 0 {
            std::thread::yield_now();
        }
        assert_eq!(merge.next_within(Duration::ZERO).unwrap(), Polled::Quiet);
    }
}
