//! The kernel's frames as bytes: `struct can_frame` and `struct canfd_frame` of `linux/can.h`.

use std::sync::Arc;

use wire::time::Timestamp;

use crate::frame::{FRAME_BYTES_MAX, Frame, FrameId, FrameKind};

/// Bytes of a classic frame as the kernel gives and takes it, `CAN_MTU`.
pub(crate) const CLASSIC_BYTES: usize = 16;
/// Bytes of an FD frame, `CANFD_MTU`.
pub(crate) const FD_BYTES: usize = 72;
/// `CANFD_BRS` of an FD frame's flags, its sixth byte: the data go at the faster rate.
const RATE_SWITCH_FLAG: u8 = 0x01;
/// Bytes before the data, in both.
const HEAD_BYTES: usize = 8;

/// `CAN_EFF_FLAG`: the id has 29 bits.
pub(crate) const EXTENDED_FLAG: u32 = 0x8000_0000;
/// `CAN_RTR_FLAG`: a remote request.
pub(crate) const REMOTE_FLAG: u32 = 0x4000_0000;
/// `CAN_ERR_FLAG`: a report of the controller.
pub(crate) const ERROR_FLAG: u32 = 0x2000_0000;
/// `CAN_EFF_MASK`.
pub(crate) const EXTENDED_MASK: u32 = 0x1FFF_FFFF;
/// `CAN_SFF_MASK`.
pub(crate) const STANDARD_MASK: u32 = 0x7FF;

/// The frame in the bytes that the kernel gave; `None` when they are none. The id of an error
/// frame is its class, `CAN_ERR_*`.
pub(crate) fn parse(bytes: &[u8], time: Timestamp, interface: &Arc<str>) -> Option<Frame> {
    let is_fd = match bytes.len() {
        CLASSIC_BYTES => false,
        FD_BYTES => true,
        _ => return None,
    };
    let id = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let len = usize::from(*bytes.get(4)?);
    let is_extended = id & EXTENDED_FLAG != 0;
    let (kind, raw) = if id & ERROR_FLAG != 0 {
        (FrameKind::Error, id & EXTENDED_MASK)
    } else {
        let mask = if is_extended { EXTENDED_MASK } else { STANDARD_MASK };
        let kind = match (is_fd, id & REMOTE_FLAG != 0) {
            (true, _) => FrameKind::Fd,
            (false, true) => FrameKind::Remote,
            (false, false) => FrameKind::Data,
        };
        (kind, id & mask)
    };
    // A remote request names a length and carries nothing.
    let len = if kind == FrameKind::Remote { 0 } else { len };
    let data = bytes.get(HEAD_BYTES..HEAD_BYTES.checked_add(len)?)?;
    let id = FrameId { raw, is_extended: is_extended && kind != FrameKind::Error };
    Frame::new(time, Arc::clone(interface), id, kind, data)
}

/// A frame as the kernel takes it: the buffer, and how many of its bytes are the frame.
pub(crate) fn build(frame: &Frame) -> ([u8; FD_BYTES], usize) {
    let mut bytes = [0_u8; FD_BYTES];
    let id = match frame.kind {
        FrameKind::Error => frame.id.raw | ERROR_FLAG,
        FrameKind::Remote => frame.id.raw | REMOTE_FLAG,
        FrameKind::Data | FrameKind::Fd => frame.id.raw,
    };
    let id = if frame.id.is_extended { id | EXTENDED_FLAG } else { id };
    let is_fd = frame.kind == FrameKind::Fd;
    let most = if is_fd { FRAME_BYTES_MAX } else { 8 };
    let len = frame.data().len().min(most);
    bytes[..4].copy_from_slice(&id.to_ne_bytes());
    bytes[4] = u8::try_from(len).unwrap_or(8);
    if frame.is_rate_switched() {
        bytes[5] = RATE_SWITCH_FLAG;
    }
    bytes[HEAD_BYTES..HEAD_BYTES + len].copy_from_slice(&frame.data()[..len]);
    (bytes, if is_fd { FD_BYTES } else { CLASSIC_BYTES })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let id = prop_oneof![
            (0..=STANDARD_MASK).prop_map(|raw| FrameId { raw, is_extended: false }),
            (0..=EXTENDED_MASK).prop_map(|raw| FrameId { raw, is_extended: true }),
        ];
        let body = prop_oneof![
            (Just(FrameKind::Data), proptest::collection::vec(any::<u8>(), 0..=8)),
            (Just(FrameKind::Fd), proptest::collection::vec(any::<u8>(), 0..=64)),
            (Just(FrameKind::Remote), Just(Vec::new())),
        ];
        (id, body).prop_map(|(id, (kind, data))| {
            Frame::new(Timestamp(7), "can0".into(), id, kind, &data).expect("at most 64 bytes")
        })
    }

    proptest! {
        #[test]
        fn what_the_kernel_is_given_it_would_give_back(frame in frames()) {
            let (bytes, len) = build(&frame);
            prop_assert_eq!(parse(&bytes[..len], Timestamp(7), &"can0".into()), Some(frame));
        }

        #[test]
        fn any_bytes_are_a_frame_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..=80)) {
            if let Some(frame) = parse(&bytes, Timestamp(0), &"can0".into()) {
                prop_assert!(frame.id.raw <= EXTENDED_MASK);
                prop_assert!(bytes.len() == CLASSIC_BYTES || bytes.len() == FD_BYTES);
            }
        }
    }

    #[test]
    fn only_a_frame_of_can_fd_switches_its_rate() {
        let of = |kind| {
            let id = FrameId { raw: 0x7E0, is_extended: false };
            let frame = Frame::new(Timestamp(0), "can0".into(), id, kind, &[1, 2]).unwrap();
            [false, true].map(|is_switched| build(&frame.clone().rate_switched(is_switched)).0[5])
        };
        assert_eq!(of(FrameKind::Fd), [0, 1]);
        assert_eq!(of(FrameKind::Data), [0, 0]);
    }

    #[test]
    fn the_layout_is_that_of_the_kernels_header() {
        let mut bytes = [0_u8; CLASSIC_BYTES];
        bytes[..4].copy_from_slice(&(0x18FE_F100_u32 | EXTENDED_FLAG).to_ne_bytes());
        bytes[4] = 2;
        bytes[8..10].copy_from_slice(&[0xAB, 0xCD]);
        let frame = parse(&bytes, Timestamp(1), &"can1".into()).unwrap();
        assert_eq!(
            (frame.id.raw, frame.id.is_extended, frame.data()),
            (0x18FE_F100, true, &[0xAB, 0xCD][..])
        );
        // A length over what the struct holds is no frame.
        bytes[4] = 9;
        assert_eq!(parse(&bytes, Timestamp(1), &"can1".into()), None);
    }
}
