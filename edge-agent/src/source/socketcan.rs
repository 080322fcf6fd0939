//! Live buses by Linux's SocketCAN: several interfaces, one stream of frames by kernel time.
//!
//! Everything the kernel can tell of loss is asked for: frames dropped for want of room
//! (`SO_RXQ_OVFL`), overflows of the controller and its bus state (error frames). An interface
//! that goes down keeps its socket, so the first frame after it comes back is not missed; one
//! that is gone is opened again with back-off. A controller that is bus-off is restarted by the
//! kernel (`ip link set can0 type can restart-ms 100`): the agent has no business to force it.
//!
//! Bounds: `ROUND_COUNT_MAX` reads an interface at a time; behind that stands the kernel's
//! receive buffer of 4 MiB a socket, which *sheds*, counted.

pub(crate) mod filter;
pub(crate) mod health;
pub(crate) mod raw;
mod socket;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use service::{SharedClock, clock::micros, logs::chain};
use tracing::{debug, info, warn};
use wire::time::Timestamp;

use super::{BusWriter, Polled, Source, SourceCounts, SourceError};
use crate::frame::{Frame, FrameKind};
pub use filter::{IdFilter, filters_of};
use health::BusState;
use socket::RawSocket;

/// Most reads of one interface before the others have their turn.
const ROUND_COUNT_MAX: usize = 16;
/// Waits before opening a lost interface again: from, to.
const RETRY_MIN_US: i64 = 100_000;
const RETRY_MAX_US: i64 = 5_000_000;
/// Of a controller that is bus-off nothing comes but what it still had; a frame that comes later
/// than this says that it is back, though the report of it was lost.
const OFF_LEAST_US: i64 = 1_000_000;
/// How long [`Source::next`] waits at a time.
const NEXT_WAIT: Duration = Duration::from_secs(1);

/// The socket of an interface, while there is one; its writers look here.
type Slot = Arc<Mutex<Option<Arc<RawSocket>>>>;

/// Frames of live buses.
#[derive(Debug)]
pub struct SocketCanSource {
    lines: Vec<Line>,
    filters: Option<Vec<IdFilter>>,
    clock: SharedClock,
    /// To be yielded, by time.
    ready: VecDeque<Frame>,
    /// Received after the round began: an earlier frame may still come from another interface.
    held: Vec<Frame>,
    counts: SourceCounts,
}

/// One interface.
#[derive(Debug)]
struct Line {
    interface: Arc<str>,
    slot: Slot,
    is_down: bool,
    state: BusState,
    /// When it was bus-off last.
    off_at: Timestamp,
    retry_at_us: i64,
    retry_us: i64,
    is_loss_told: bool,
}

impl Line {
    fn new(interface: &str) -> Self {
        Self {
            interface: interface.into(),
            slot: Slot::default(),
            is_down: false,
            state: BusState::Active,
            off_at: Timestamp(i64::MIN),
            retry_at_us: i64::MIN,
            retry_us: RETRY_MIN_US,
            is_loss_told: false,
        }
    }

    fn socket(&self) -> Option<Arc<RawSocket>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, socket: Option<RawSocket>) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = socket.map(Arc::new);
    }

    /// Gives the socket up; it is opened again after a while.
    fn lose(&mut self, error: &io::Error, now_us: i64) {
        self.put(None);
        self.retry_at_us = now_us.saturating_add(self.retry_us);
        if self.is_loss_told {
            debug!(interface = &*self.interface, error = %chain(error), "CAN interface still lost");
        } else {
            warn!(interface = &*self.interface, error = %chain(error), "CAN interface lost; opening it again and again");
            self.is_loss_told = true;
        }
        self.retry_us = (self.retry_us * 2).min(RETRY_MAX_US);
    }

    fn open_if_due(&mut self, filters: Option<&[IdFilter]>, now_us: i64) {
        if self.socket().is_some() || now_us < self.retry_at_us {
            return;
        }
        match RawSocket::open(&self.interface, filters) {
            Ok(socket) => {
                info!(interface = &*self.interface, "CAN interface opened");
                (self.is_down, self.is_loss_told, self.state) = (false, false, BusState::Active);
                self.put(Some(socket));
            }
            Err(error) => self.lose(&error, now_us),
        }
    }

    /// Whether no frame can come from it now.
    fn is_out(&self) -> bool {
        self.is_down || self.state == BusState::Off || self.socket().is_none()
    }
}

impl SocketCanSource {
    /// A source of those interfaces; none of them need be there yet. Without filters all passes.
    pub fn new(interfaces: &[String], filters: Option<Vec<IdFilter>>, clock: SharedClock) -> Self {
        let mut source = Self {
            lines: interfaces.iter().map(|name| Line::new(name)).collect(),
            filters,
            clock,
            ready: VecDeque::new(),
            held: Vec::new(),
            counts: SourceCounts::default(),
        };
        source.open_due();
        source
    }

    fn open_due(&mut self) {
        let now_us = self.clock.monotonic_us();
        for line in &mut self.lines {
            line.open_if_due(self.filters.as_deref(), now_us);
        }
    }

    /// Waits for bytes on any interface, or until one is to be opened again.
    fn wait(&self, wait: Duration) {
        let now_us = self.clock.monotonic_us();
        let mut wait_us = if self.held.is_empty() { micros(wait) } else { 0 };
        let sockets: Vec<Arc<RawSocket>> = self.lines.iter().filter_map(Line::socket).collect();
        for line in self.lines.iter().filter(|line| line.socket().is_none()) {
            wait_us = wait_us.min(line.retry_at_us.saturating_sub(now_us).max(1000));
        }
        let mut fds: Vec<PollFd<'_>> =
            sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        let wait_ms = u16::try_from((wait_us + 999) / 1000).unwrap_or(u16::MAX);
        if let Err(error) = poll(&mut fds, PollTimeout::from(wait_ms)) {
            debug!(error = %chain(&error), "waiting for CAN frames was interrupted");
        }
    }

    /// Takes what the interfaces have, in the order of the kernel's times. A frame that came
    /// after this round began is held for one round, since an earlier one may still wait on an
    /// interface that was read before.
    fn receive(&mut self) {
        let began = Timestamp(self.clock.now_us());
        let mut frames = std::mem::take(&mut self.held);
        let held_before = frames.len();
        for line in &mut self.lines {
            receive_line(line, &self.clock, &mut frames, &mut self.counts);
        }
        let before = frames.len();
        frames.retain(|frame| !frame.id.is_own());
        let refused = u64::try_from(before - frames.len()).unwrap_or(0);
        if refused > 0 && self.counts.refused == 0 {
            warn!("a bus carries ids that the agent keeps for itself; such frames are not believed");
        }
        self.counts.refused += refused;
        if self.lines.len() > 1 {
            let mut index = 0;
            let held = &mut self.held;
            frames.retain(|frame| {
                index += 1;
                let is_kept = index <= held_before || frame.time < began;
                if !is_kept {
                    held.push(frame.clone());
                }
                is_kept
            });
        }
        frames.sort_by_key(|frame| frame.time);
        self.ready.extend(frames);
        self.counts.interfaces_out = self.lines.iter().map(|line| u64::from(line.is_out())).sum();
    }
}

fn receive_line(line: &mut Line, clock: &SharedClock, frames: &mut Vec<Frame>, counts: &mut SourceCounts) {
    let Some(socket) = line.socket() else { return };
    for _ in 0..ROUND_COUNT_MAX {
        let from = frames.len();
        match socket.receive(&line.interface, Timestamp(clock.now_us()), frames) {
            Ok(received) => {
                counts.lost_in_kernel += received.lost;
                counts.damaged += received.damaged;
                if frames.len() > from {
                    line.retry_us = RETRY_MIN_US;
                }
                note(line, frames, from, counts);
                if !received.is_full {
                    return;
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(Errno::ENETDOWN) => {
                counts.interface_losses += 1;
                warn!(interface = &*line.interface, "CAN interface is down; waiting for it");
                // It starts anew when it comes up, also from bus-off.
                (line.is_down, line.state) = (true, BusState::Active);
                return;
            }
            Err(errno) => {
                counts.interface_losses += 1;
                line.lose(&io::Error::from(errno), clock.monotonic_us());
                return;
            }
        }
    }
}

/// Takes the controller's reports out of what came from `from` on.
fn note(line: &mut Line, frames: &mut Vec<Frame>, from: usize, counts: &mut SourceCounts) {
    if frames.len() > from && line.is_down {
        info!(interface = &*line.interface, "CAN interface is up again");
        line.is_down = false;
    }
    let is_told = |frame: &Frame| frame.kind == FrameKind::Error || line.state == BusState::Off;
    if !frames[from..].iter().any(is_told) {
        return;
    }
    for report in &frames[from..] {
        if report.kind != FrameKind::Error {
            if line.state == BusState::Off && report.time > line.off_at.plus_us(OFF_LEAST_US) {
                info!(interface = &*line.interface, "CAN controller is back from bus-off");
                line.state = BusState::Active;
            }
            continue;
        }
        counts.error_frames += 1;
        let told = health::read(report.id.raw, report.data());
        counts.lost_in_controller += u64::from(told.has_lost);
        counts.restarts += u64::from(told.is_restarted);
        let Some(state) = told.state.filter(|state| *state != line.state) else { continue };
        line.state = state;
        match state {
            BusState::Off => {
                counts.bus_offs += 1;
                line.off_at = report.time;
                warn!(interface = &*line.interface, "CAN controller is bus-off; restart-ms lets it return");
            }
            BusState::Passive => {
                counts.error_passives += 1;
                warn!(interface = &*line.interface, "CAN controller is error-passive");
            }
            BusState::Warning => debug!(interface = &*line.interface, "CAN controller warns of errors"),
            BusState::Active => info!(interface = &*line.interface, "CAN controller is error-active again"),
        }
    }
    frames.extract_if(from.., |frame| frame.kind == FrameKind::Error).for_each(drop);
}

impl Source for SocketCanSource {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        loop {
            if let Polled::Frame(frame) = self.next_within(NEXT_WAIT)? {
                return Ok(Some(*frame));
            }
        }
    }

    fn next_within(&mut self, wait: Duration) -> Result<Polled, SourceError> {
        if self.ready.is_empty() {
            self.open_due();
            self.wait(wait);
            self.receive();
        }
        Ok(self.ready.pop_front().map_or(Polled::Quiet, |frame| Polled::Frame(Box::new(frame))))
    }

    fn bus_writer(&mut self, interface: &str) -> Option<Box<dyn BusWriter>> {
        let line = self.lines.iter().find(|line| &*line.interface == interface)?;
        Some(Box::new(SocketCanWriter { slot: Arc::clone(&line.slot) }))
    }

    fn counts(&self) -> SourceCounts {
        self.counts
    }
}

/// Sends on the socket that the source reads, so that what is sent does not come back.
#[derive(Debug)]
struct SocketCanWriter {
    slot: Slot,
}

impl BusWriter for SocketCanWriter {
    fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let socket = self.slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        socket.ok_or(io::ErrorKind::NotConnected)?.send(frame)
    }
}

/// A writer of its own on an interface, for `edge-agent play`.
pub(crate) fn open_writer(interface: &str) -> io::Result<impl BusWriter + use<>> {
    let socket = RawSocket::open(interface, Some(&[]))?;
    Ok(SocketCanWriter { slot: Arc::new(Mutex::new(Some(Arc::new(socket)))) })
}

#[cfg(test)]
mod tests;
