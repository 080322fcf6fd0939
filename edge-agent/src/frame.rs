//! One frame as it was on the bus.

use std::sync::Arc;

use wire::time::Timestamp;

/// Most data bytes of a frame (CAN FD).
pub const FRAME_BYTES_MAX: usize = 64;

/// An arbitration id and whether it has 29 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId {
    /// 11 or 29 bits, without flags.
    pub raw: u32,
    /// Whether it is an extended (29-bit) id.
    pub is_extended: bool,
}

/// The first of the 29-bit ids that are the agent's own: frames it makes itself, of GNSS, of the
/// unit's own state, of answers to its diagnostic requests. All above are its own too.
pub const OWN_ID_MIN: u32 = 0x1FFF_F000;

impl FrameId {
    /// Whether the id is one the agent makes itself; such a frame from a bus is not believed.
    pub fn is_own(self) -> bool {
        self.is_extended && self.raw >= OWN_ID_MIN
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Classic data frame, up to 8 bytes.
    Data,
    /// CAN FD data frame, up to 64 bytes.
    Fd,
    /// Remote request: no data.
    Remote,
    /// Error frame of the controller: no signals.
    Error,
}

/// One frame on one interface at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When the interface saw it.
    pub time: Timestamp,
    /// `can0`, `vcan1`.
    pub interface: Arc<str>,
    /// Its id.
    pub id: FrameId,
    /// What it is.
    pub kind: FrameKind,
    data: [u8; FRAME_BYTES_MAX],
    len: u8,
    is_rate_switched: bool,
}

impl Frame {
    /// A frame of at most 64 data bytes; `None` when there are more.
    pub fn new(
        time: Timestamp,
        interface: Arc<str>,
        id: FrameId,
        kind: FrameKind,
        bytes: &[u8],
    ) -> Option<Self> {
        let mut data = [0_u8; FRAME_BYTES_MAX];
        data.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            time,
            interface,
            id,
            kind,
            data,
            len: u8::try_from(bytes.len()).ok()?,
            is_rate_switched: false,
        })
    }

    /// The same to be sent with its data at the bus's faster rate (BRS), where it is a CAN FD frame. Frames that
    /// were read do not say it.
    #[must_use]
    pub fn rate_switched(self, is_rate_switched: bool) -> Self {
        Self { is_rate_switched: is_rate_switched && self.kind == FrameKind::Fd, ..self }
    }

    /// Whether it is to be sent with its data at the bus's faster rate.
    pub fn is_rate_switched(&self) -> bool {
        self.is_rate_switched
    }

    /// Its data bytes.
    pub fn data(&self) -> &[u8] {
        &self.data[..usize::from(self.len)]
    }

    /// How many data bytes it has.
    pub(crate) fn byte_count(&self) -> usize {
        usize::from(self.len)
    }

    /// Its data bytes, zero to the full 64: what signals are taken out of.
    pub(crate) fn padded(&self) -> &[u8; FRAME_BYTES_MAX] {
        &self.data
    }
}
