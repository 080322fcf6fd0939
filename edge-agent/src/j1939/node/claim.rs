//! The address a unit has, won and defended by its NAME (J1939-81, 4.4).

use wire::time::Timestamp;

use super::super::{Name, SourceAddress};

/// How long others have to object (J1939-81, 4.4.3.1).
const OBJECTION_US: i64 = 250_000;
/// The step of the delay before *cannot claim* (J1939-81, 4.4.2.3): 0.6 ms, times 0 to 255.
const DELAY_STEP_US: i64 = 600;
/// Addresses that units take which lost their own (J1939-81, 4.2.1).
const FREE: std::ops::RangeInclusive<u8> = 128..=247;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has said nothing yet.
    Begun,
    /// It has claimed, and others may object until then.
    Claimed(Timestamp),
    /// The address is its own.
    Held,
    /// There is none for it.
    Lost,
}

/// A unit's claim.
#[derive(Debug)]
pub(super) struct Claim {
    name: Name,
    address: SourceAddress,
    state: State,
    /// When the claim, or that there is none, is to be said.
    say_at: Option<Timestamp>,
    /// Addresses others have claimed, a bit each.
    taken: [u64; 4],
}

impl Claim {
    pub(super) fn new(name: Name, address: SourceAddress) -> Self {
        let say_at = Some(Timestamp(i64::MIN));
        Self { name, address, state: State::Begun, say_at, taken: [0; 4] }
    }

    /// The address it holds.
    pub(super) fn held(&self) -> Option<SourceAddress> {
        (self.state == State::Held).then_some(self.address)
    }

    /// The address it holds or claims.
    pub(super) fn wanted(&self) -> Option<SourceAddress> {
        (self.state != State::Lost).then_some(self.address)
    }

    /// Another unit's claim.
    pub(super) fn heard(&mut self, source: SourceAddress, name: Name, now: Timestamp) {
        if name == self.name || source.0 >= SourceAddress::NULL.0 {
            return;
        }
        self.taken[usize::from(source.0 / 64)] |= 1 << (source.0 % 64);
        if source != self.address || matches!(self.state, State::Lost) {
            return;
        }
        if self.name < name {
            self.say_at = Some(now);
            return;
        }
        let is_taken = |address: &u8| self.taken[usize::from(address / 64)] & (1 << (address % 64)) != 0;
        match FREE.into_iter().find(|address| !is_taken(address)) {
            Some(address) if self.name.is_arbitrary_address_capable() => {
                self.address = SourceAddress(address);
                self.state = State::Begun;
                self.say_at = Some(now);
            }
            _ => {
                self.state = State::Lost;
                self.say_at = Some(now.plus_us(self.delay_us()));
            }
        }
    }

    /// Somebody asks who has which address.
    pub(super) fn asked(&mut self, now: Timestamp) {
        if self.say_at.is_none() {
            let wait_us = if self.state == State::Lost { self.delay_us() } else { 0 };
            self.say_at = Some(now.plus_us(wait_us));
        }
    }

    /// So that units without an address do not all speak at once.
    fn delay_us(&self) -> i64 {
        i64::from(self.name.0.to_le_bytes()[0]) * DELAY_STEP_US
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        if let State::Claimed(until) = self.state
            && now >= until
        {
            self.state = State::Held;
        }
    }

    /// What is to be said now, as its source address and the NAME.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(SourceAddress, Name)> {
        self.say_at.take_if(|at| *at <= now)?;
        match self.state {
            State::Lost => return Some((SourceAddress::NULL, self.name)),
            State::Begun => self.state = State::Claimed(now.plus_us(OBJECTION_US)),
            State::Claimed(_) | State::Held => {}
        }
        Some((self.address, self.name))
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let until = match self.state {
            State::Claimed(until) => Some(until),
            State::Begun | State::Held | State::Lost => None,
        };
        [self.say_at, until].into_iter().flatten().min()
    }
}
