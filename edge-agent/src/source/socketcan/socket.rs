//! One raw socket: opened with everything that makes loss visible, read in batches, written.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
    unistd,
};
use socketcan::{CanFdSocket, CanFilter, Socket as _, SocketOptions as _, id::ERR_MASK_ALL};
use tracing::warn;
use wire::time::Timestamp;

use super::{
    filter::IdFilter,
    raw::{self, FD_BYTES},
};
use crate::frame::Frame;

/// Asked of the kernel: with its default of 208 KiB a burst of 2,000 frames loses over a thousand.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Frames taken with one system call.
pub(super) const FRAMES_AT_ONCE: usize = 64;

/// What a read gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Frames the kernel dropped for want of room since the read before.
    pub(super) lost: u64,
    /// Whether there may be more at once.
    pub(super) is_full: bool,
    /// Messages of the kernel that were no frames.
    pub(super) damaged: u64,
}

/// An open raw socket on one interface.
#[derive(Debug)]
pub(super) struct RawSocket {
    socket: CanFdSocket,
    /// The kernel's count of dropped frames, as last seen; it wraps.
    drops_seen: AtomicU32,
}

impl RawSocket {
    /// Opens the socket; an interface that is down is no error here but at the first read.
    pub(super) fn open(interface: &str, filters: Option<&[IdFilter]>) -> io::Result<Self> {
        let socket = CanFdSocket::open(interface)?;
        socket.set_nonblocking(true)?;
        let is_forced = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_ok();
        if !is_forced {
            // Up to net.core.rmem_max goes without CAP_NET_ADMIN.
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?;
            let bytes = nix::sys::socket::getsockopt(&socket, sockopt::RcvBuf).unwrap_or(0);
            if bytes < RECEIVE_BUFFER_BYTES {
                warn!(interface, bytes, "receive buffer is small; give CAP_NET_ADMIN or raise rmem_max");
            }
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        socket.set_error_filter(ERR_MASK_ALL)?;
        if let Some(filters) = filters {
            let filters: Vec<CanFilter> = filters.iter().map(|f| CanFilter::new(f.id, f.mask)).collect();
            socket.set_filters(&filters)?;
        }
        Ok(Self { socket, drops_seen: AtomicU32::new(0) })
    }

    /// Takes what is there, up to [`FRAMES_AT_ONCE`], without waiting. Frames get the kernel's
    /// time, or `now` where it gave none.
    pub(super) fn receive(
        &self,
        interface: &Arc<str>,
        now: Timestamp,
        out: &mut Vec<Frame>,
    ) -> Result<Received, Errno> {
        let mut buffers = [[0_u8; FD_BYTES]; FRAMES_AT_ONCE];
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        // New headers each time: the kernel writes the length of the control messages into them,
        // and in used ones the count of drops, which comes only once there are any, has no room.
        let mut headers = MultiHeaders::<()>::preallocate(FRAMES_AT_ONCE, Some(cmsg_space!(TimeSpec, u32)));
        let messages =
            recvmmsg(self.socket.as_raw_fd(), &mut headers, &mut slices, MsgFlags::MSG_DONTWAIT, None)?;
        let (mut received, mut count) = (Received::default(), 0);
        for message in messages {
            count += 1;
            let mut time = now;
            for control in message.cmsgs()? {
                match control {
                    ControlMessageOwned::ScmTimestampns(at) => {
                        time = Timestamp(
                            at.tv_sec().saturating_mul(1_000_000).saturating_add(at.tv_nsec() / 1000),
                        );
                    }
                    ControlMessageOwned::RxqOvfl(drops) => {
                        let before = self.drops_seen.swap(drops, Ordering::Relaxed);
                        received.lost += u64::from(drops.wrapping_sub(before));
                    }
                    _ => {}
                }
            }
            let bytes = message.iovs().next().unwrap_or_default();
            match raw::parse(bytes, time, interface) {
                Some(frame) => out.push(frame),
                None => received.damaged += 1,
            }
        }
        received.is_full = count == FRAMES_AT_ONCE;
        Ok(received)
    }

    /// Sends one frame without waiting.
    pub(super) fn send(&self, frame: &Frame) -> io::Result<()> {
        let (bytes, len) = raw::build(frame);
        let written = unistd::write(&self.socket, &bytes[..len])?;
        if written == len { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
    }

    /// For waiting on it.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
