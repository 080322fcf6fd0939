//! How many batches may be in flight, and how long their ack is waited for.
//!
//! An ack that does not come in time means, more often than a lost one, that broker or ingest have more to
//! do than they can. So what is sent again then is one batch, which asks for the ack of all, and the next
//! time is waited for twice as long; with each ack twice as many may be in flight, up to what is configured
//! (the slow start and the timer of TCP: RFC 5681 section 3.1, RFC 6298 section 5.5). A fleet that all sent
//! its windows again every half minute would keep an overloaded ingest overloaded for good.

use std::time::Duration;

use super::jittered;

/// Longest wait for an ack, before chance adds to it: so long after ingest is back, a vehicle that could not
/// know is heard of.
const RESEND_MAX: Duration = Duration::from_secs(120);

/// The pace of one vehicle; it outlives connections.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    in_flight_max: usize,
    resend_after: Duration,
    limit: usize,
    /// What the next wait is made of.
    wait: Duration,
    /// The wait of now.
    due_after: Duration,
}

impl Pace {
    /// So many batches at most, and so long a wait to begin with.
    pub fn new(in_flight_max: usize, resend_after: Duration) -> Self {
        Self {
            in_flight_max,
            resend_after,
            limit: in_flight_max,
            wait: resend_after,
            due_after: resend_after,
        }
    }

    /// Most batches in flight now.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Time without an ack after which to send again.
    pub fn due_after(&self) -> Duration {
        self.due_after
    }

    /// No ack came in that time.
    pub fn note_timeout(&mut self) {
        self.limit = 1;
        self.wait = (self.wait * 2).min(RESEND_MAX.max(self.resend_after));
        // Vehicles that began together do not go on together.
        self.due_after = self.wait / 2 + jittered(self.wait);
    }

    /// Batches became durable.
    pub fn note_ack(&mut self) {
        self.limit = self.limit.saturating_mul(2).min(self.in_flight_max);
        (self.wait, self.due_after) = (self.resend_after, self.resend_after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_batch_asks_again_at_growing_intervals_and_acks_open_the_window() {
        let mut pace = Pace::new(64, Duration::from_secs(30));
        assert_eq!((pace.limit(), pace.due_after()), (64, Duration::from_secs(30)));
        for nominal_s in [60, 120, 120, 120] {
            pace.note_timeout();
            let nominal = Duration::from_secs(nominal_s);
            assert!((nominal..=nominal * 3 / 2).contains(&pace.due_after()), "{:?}", pace.due_after());
            assert_eq!(pace.limit(), 1);
        }
        for limit in [2, 4, 8, 16, 32, 64, 64] {
            pace.note_ack();
            assert_eq!((pace.limit(), pace.due_after()), (limit, Duration::from_secs(30)));
        }
    }

    #[test]
    fn a_wait_that_is_configured_longer_is_kept() {
        let mut pace = Pace::new(1, Duration::from_secs(3600));
        pace.note_timeout();
        assert!(pace.due_after() >= Duration::from_secs(3600));
        assert_eq!(pace.limit(), 1);
    }
}
