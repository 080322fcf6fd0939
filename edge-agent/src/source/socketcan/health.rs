//! What the controller says of its bus, by its error frames (`linux/can/error.h`).

/// `CAN_ERR_CRTL`: trouble of the controller, told in `data[1]`.
const CLASS_CONTROLLER: u32 = 0x4;
/// `CAN_ERR_BUSOFF`.
const CLASS_BUS_OFF: u32 = 0x40;
/// `CAN_ERR_RESTARTED`.
const CLASS_RESTARTED: u32 = 0x100;
/// `CAN_ERR_CRTL_RX_OVERFLOW`: the controller had no room for a frame.
const RX_OVERFLOW: u8 = 0x01;
/// `CAN_ERR_CRTL_RX_WARNING` and `CAN_ERR_CRTL_TX_WARNING`.
const WARNING: u8 = 0x04 | 0x08;
/// `CAN_ERR_CRTL_RX_PASSIVE` and `CAN_ERR_CRTL_TX_PASSIVE`.
const PASSIVE: u8 = 0x10 | 0x20;
/// `CAN_ERR_CRTL_ACTIVE`: recovered.
const ACTIVE: u8 = 0x40;

/// Fault confinement of a controller, ISO 11898-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BusState {
    /// Takes part.
    #[default]
    Active,
    /// An error counter is at its warning limit of 96.
    Warning,
    /// An error counter is over 127: it no longer signals errors actively.
    Passive,
    /// The transmit error counter is over 255: it takes no part.
    Off,
}

/// What one error frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ErrorReport {
    /// The state the controller is in now, when the frame tells.
    pub(crate) state: Option<BusState>,
    /// Whether the controller was restarted after a bus-off.
    pub(crate) is_restarted: bool,
    /// Whether the controller lost a frame for want of room.
    pub(crate) has_lost: bool,
}

/// Reads an error frame: its class, that is its id, and its data.
pub(crate) fn read(class: u32, data: &[u8]) -> ErrorReport {
    let detail = if class & CLASS_CONTROLLER == 0 { 0 } else { data.get(1).copied().unwrap_or(0) };
    let is_restarted = class & CLASS_RESTARTED != 0;
    let state = if class & CLASS_BUS_OFF != 0 {
        Some(BusState::Off)
    } else if detail & PASSIVE != 0 {
        Some(BusState::Passive)
    } else if detail & WARNING != 0 {
        Some(BusState::Warning)
    } else if is_restarted || detail & ACTIVE != 0 {
        Some(BusState::Active)
    } else {
        None
    };
    ErrorReport { state, is_restarted, has_lost: detail & RX_OVERFLOW != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bus_off_passive_and_restart_are_told_apart() {
        assert_eq!(read(CLASS_BUS_OFF, &[0; 8]).state, Some(BusState::Off));
        assert_eq!(read(CLASS_CONTROLLER, &[0, 0x20, 0, 0, 0, 0, 0, 0]).state, Some(BusState::Passive));
        assert_eq!(read(CLASS_CONTROLLER, &[0, 0x08, 0, 0, 0, 0, 0, 0]).state, Some(BusState::Warning));
        let restarted = read(CLASS_RESTARTED, &[0; 8]);
        assert_eq!((restarted.state, restarted.is_restarted), (Some(BusState::Active), true));
    }

    #[test]
    fn an_overflow_of_the_controller_is_a_loss_and_no_state() {
        let report = read(CLASS_CONTROLLER, &[0, RX_OVERFLOW]);
        assert_eq!((report.has_lost, report.state), (true, None));
        // The detail byte means something else in other classes.
        assert!(!read(0x8, &[0, RX_OVERFLOW]).has_lost);
        assert_eq!(read(CLASS_CONTROLLER, &[]), ErrorReport::default());
    }
}
