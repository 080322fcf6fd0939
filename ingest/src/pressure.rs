//! Telling vehicles to wait while the lake does not take what it is given.
//!
//! A commit that is refused is tried until it is taken, and meanwhile nothing is taken from the
//! queue. When that has gone on for [`WaitPolicy::after`], vehicles whose messages come are told to
//! wait: first as long as it has gone on, in the end [`WaitPolicy::max`]. Once the queue is full,
//! messages are left (*shed*, counted) rather than the connection to the broker stopped: the vehicle
//! keeps what is not acknowledged, the broker's queues stay empty, and pings go on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use service::{SharedClock, clock::micros};
use tokio::sync::watch;
use wire::ids::VehicleId;

/// Vehicles remembered as told; beyond it they may be told twice.
const TOLD_MAX: usize = 65_536;

/// When vehicles are told to wait, and how long at most.
#[derive(Debug, Clone, Copy)]
pub struct WaitPolicy {
    /// Once a commit has taken so long.
    pub after: Duration,
    /// The longest wait asked for.
    pub max: Duration,
}

/// Tells since when a commit has been going on, by the monotonic clock in µs.
#[derive(Debug)]
pub struct Pressure(watch::Sender<Option<i64>>);

impl Pressure {
    /// Both ends.
    pub fn new(policy: WaitPolicy, clock: SharedClock) -> (Self, Gate) {
        let (sender, since_us) = watch::channel(None);
        (Self(sender), Gate { held: Held { since_us, policy, clock }, told_until_us: Arc::default() })
    }

    /// A commit begins.
    pub(crate) fn begin(&self, monotonic_us: i64) {
        self.0.send_replace(Some(monotonic_us));
    }

    /// It has been taken.
    pub(crate) fn end(&self) {
        self.0.send_replace(None);
    }
}

/// How long the lake has not taken what it was given.
#[derive(Debug, Clone)]
pub struct Held {
    since_us: watch::Receiver<Option<i64>>,
    policy: WaitPolicy,
    clock: SharedClock,
}

/// Intake's end; clones share it.
#[derive(Debug, Clone)]
pub struct Gate {
    held: Held,
    /// Until when vehicles have been told to wait.
    told_until_us: Arc<Mutex<HashMap<VehicleId, i64>>>,
}

impl Held {
    /// For how long the commit in progress has taken.
    fn busy(&self) -> Option<Duration> {
        let since_us = (*self.since_us.borrow())?;
        let us = self.clock.monotonic_us().saturating_sub(since_us);
        Some(Duration::from_micros(u64::try_from(us).unwrap_or(0)))
    }

    /// The same once vehicles are to wait.
    pub(crate) fn closed_for(&self) -> Option<Duration> {
        self.busy().filter(|busy| *busy >= self.policy.after)
    }
}

impl Gate {
    /// What it goes by, for who else wants to know.
    pub(crate) fn held(&self) -> Held {
        self.held.clone()
    }

    /// Waits until they are.
    pub(crate) async fn closed(&self) {
        let mut since_us = self.held.since_us.clone();
        loop {
            since_us.borrow_and_update();
            let left = self.held.busy().map(|busy| self.held.policy.after.saturating_sub(busy));
            let due = async {
                match left {
                    Some(left) => tokio::time::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            tokio::select! {
                () = due => {}
                changed = since_us.changed() => if changed.is_err() {
                    // The pipeline has ended: there is nobody to wait for.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// How long this vehicle is to be told to wait: nothing while a wait it was told goes on.
    pub(crate) fn wait_for(&self, vehicle_id: &VehicleId) -> Option<u32> {
        let mut told_until_us = self.told_until_us.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(busy) = self.held.closed_for() else {
            told_until_us.clear();
            return None;
        };
        let now_us = self.held.clock.monotonic_us();
        if told_until_us.get(vehicle_id).is_some_and(|until_us| *until_us > now_us) {
            return None;
        }
        if told_until_us.len() >= TOLD_MAX {
            told_until_us.clear();
        }
        let wait_s = busy.min(self.held.policy.max).as_secs().max(1);
        let until_us = now_us.saturating_add(micros(Duration::from_secs(wait_s)));
        told_until_us.insert(vehicle_id.clone(), until_us);
        u32::try_from(wait_s).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use service::{Clock, clock::ManualClock};

    use super::*;

    const POLICY: WaitPolicy = WaitPolicy { after: Duration::from_secs(10), max: Duration::from_secs(60) };

    #[test]
    fn vehicles_are_told_once_a_wait_and_longer_the_longer_it_takes() {
        let clock = ManualClock::at(0);
        let (pressure, gate) = Pressure::new(POLICY, Arc::clone(&clock) as SharedClock);
        let (one, two): (VehicleId, VehicleId) = ("van-1".parse().unwrap(), "van-2".parse().unwrap());
        assert_eq!(gate.wait_for(&one), None);
        pressure.begin(clock.monotonic_us());
        clock.advance(Duration::from_secs(9));
        assert_eq!(gate.wait_for(&one), None, "a commit may take its time");
        clock.advance(Duration::from_secs(3));
        assert_eq!(
            (gate.wait_for(&one), gate.wait_for(&one), gate.wait_for(&two)),
            (Some(12), None, Some(12))
        );
        clock.advance(Duration::from_secs(120));
        assert_eq!(gate.wait_for(&one), Some(60));
        pressure.end();
        assert_eq!(gate.wait_for(&one), None);
        pressure.begin(clock.monotonic_us());
        clock.advance(Duration::from_secs(10));
        assert_eq!(gate.wait_for(&one), Some(10), "what was told before is forgotten");
    }
}
