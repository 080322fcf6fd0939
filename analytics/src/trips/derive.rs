//! The state machine: parked, or driving with what might become its end.

use service::clock::micros;
use wire::time::Timestamp;

use super::{
    Parameters,
    motion::{Observation, Recent},
    reading::Reading,
    segment::{DerivedTrip, EndReason, Segment},
};

/// What one vehicle's readings amount to.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivation {
    /// Finished trips, in order.
    pub trips: Vec<DerivedTrip>,
    /// The trip that no reading has ended yet, as silence would end it now.
    pub open: Option<OpenTrip>,
    /// Trips too short to be any.
    pub dropped_count: u64,
}

/// A trip still under way.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenTrip {
    /// First reading in motion.
    pub start_time: Timestamp,
    /// Its figures up to its last reading; `None` while it is too short to be a trip.
    pub so_far: Option<DerivedTrip>,
}

/// Derives the trips of one vehicle's readings, given in any order.
pub fn derive(readings: &[Reading], parameters: &Parameters) -> Derivation {
    let mut sorted = readings.to_vec();
    sorted.sort_by_key(|r| r.ts);
    let mut deriver = Deriver::new(*parameters);
    let mut trips = Vec::new();
    for reading in sorted {
        deriver.push(reading, &mut trips);
    }
    let (open, dropped_count) = deriver.finish(&mut trips);
    Derivation { trips, open, dropped_count }
}

/// The streaming form: readings in order of time, trips as they end.
#[derive(Debug)]
pub struct Deriver {
    parameters: Parameters,
    /// The newest reading waits for others of its instant.
    held: Option<Reading>,
    recent: Recent,
    phase: Phase,
    dropped_count: u64,
}

#[derive(Debug)]
enum Phase {
    Parked {
        /// Motion that has not become a trip yet.
        pending: Option<Box<Segment>>,
    },
    Driving(Box<Driving>),
}

#[derive(Debug)]
struct Driving {
    start_time: Timestamp,
    segment: Segment,
    stop: Option<Candidate>,
    off: Option<Candidate>,
    /// Readings since the earliest candidate, to begin anew from when it proves to be the end.
    tail: Vec<Reading>,
}

/// The end of the trip, if it lasts.
#[derive(Debug)]
struct Candidate {
    since: Timestamp,
    segment: Segment,
}

impl Deriver {
    /// Knows nothing yet.
    pub fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            held: None,
            recent: Recent::default(),
            phase: Phase::Parked { pending: None },
            dropped_count: 0,
        }
    }

    /// Takes the next reading; trips it ends are added to `trips`. A reading older than the one
    /// before is left out: sort first.
    pub fn push(&mut self, reading: Reading, trips: &mut Vec<DerivedTrip>) {
        match self.held {
            Some(held) if held.ts == reading.ts => self.held = Some(held.joined(&reading)),
            Some(held) if held.ts > reading.ts => {}
            held => {
                self.held = Some(reading);
                if let Some(held) = held {
                    self.step(held, trips);
                }
            }
        }
    }

    /// No more readings: the trip under way, and how many were too short.
    pub fn finish(mut self, trips: &mut Vec<DerivedTrip>) -> (Option<OpenTrip>, u64) {
        if let Some(held) = self.held.take() {
            self.step(held, trips);
        }
        let open = match self.phase {
            Phase::Parked { .. } => None,
            Phase::Driving(driving) => Some(OpenTrip {
                start_time: driving.start_time,
                so_far: driving.segment.finish(EndReason::Silence, &self.parameters),
            }),
        };
        (open, self.dropped_count)
    }

    fn step(&mut self, reading: Reading, trips: &mut Vec<DerivedTrip>) {
        let is_gap = self
            .recent
            .last()
            .is_some_and(|last| reading.ts.since_us(last.ts()) >= micros(self.parameters.gap));
        if is_gap {
            if let Phase::Driving(driving) = self.park() {
                self.close(driving.segment, EndReason::Gap, trips);
            }
            self.recent = Recent::default();
        }
        let before = self.recent.last().copied();
        let now = self.recent.observe(reading, &self.parameters);
        match &mut self.phase {
            Phase::Parked { pending } => {
                *pending = match (pending.take(), now.is_moving(&self.parameters)) {
                    // Motion that never became driving: drift, or a push by hand.
                    (_, Some(false)) | (None, None) => None,
                    (None, Some(true)) => {
                        Some(Box::new(Segment::start(before.as_ref(), &now, &self.parameters)))
                    }
                    (Some(mut segment), _) => {
                        segment.add(&now, &self.parameters);
                        Some(segment)
                    }
                };
                let is_start = now.is_driving(&self.parameters)
                    || (now.ignition_on == Some(true) && now.is_moving(&self.parameters) == Some(true));
                if is_start && let Some(segment) = pending.take() {
                    self.phase = Phase::Driving(Box::new(Driving::of(*segment)));
                }
            }
            Phase::Driving(driving) => {
                if let Some(end_reason) = driving.step(&now, &self.parameters) {
                    self.end(end_reason, trips);
                }
            }
        }
    }

    /// Ends the trip at its candidate and begins anew from there.
    fn end(&mut self, end_reason: EndReason, trips: &mut Vec<DerivedTrip>) {
        let Phase::Driving(driving) = self.park() else { return };
        let candidate = if end_reason == EndReason::IgnitionOff { driving.off } else { driving.stop };
        let Some(candidate) = candidate else { return };
        self.close(candidate.segment, end_reason, trips);
        self.recent = Recent::default();
        // Each turn starts later than the one before, so this ends.
        for reading in driving.tail.into_iter().filter(|r| r.ts >= candidate.since) {
            self.step(reading, trips);
        }
    }

    fn park(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Parked { pending: None })
    }

    fn close(&mut self, segment: Segment, end_reason: EndReason, trips: &mut Vec<DerivedTrip>) {
        match segment.finish(end_reason, &self.parameters) {
            Some(trip) => trips.push(trip),
            None => self.dropped_count += 1,
        }
    }
}

impl Driving {
    fn of(segment: Segment) -> Self {
        Self { start_time: segment.start_time(), segment, stop: None, off: None, tail: Vec::new() }
    }

    /// Takes the next reading; says whether the trip has ended, and at which candidate.
    fn step(&mut self, now: &Observation, parameters: &Parameters) -> Option<EndReason> {
        self.segment.add(now, parameters);
        let candidate = |held: &mut Option<Candidate>, segment: &Segment| {
            held.get_or_insert_with(|| Candidate { since: now.ts(), segment: segment.clone() });
        };
        match now.is_moving(parameters) {
            Some(true) => self.stop = None,
            Some(false) => candidate(&mut self.stop, &self.segment),
            None => {}
        }
        // A vehicle that drives has its ignition on, whatever the signal says.
        if now.ignition_on == Some(false) && !now.is_driving(parameters) {
            candidate(&mut self.off, &self.segment);
        } else {
            self.off = None;
        }
        if self.stop.is_none() && self.off.is_none() {
            self.tail.clear();
            return None;
        }
        self.tail.push(now.reading);
        let due = |held: &Option<Candidate>, after_us: i64| held.as_ref().map(|c| c.since.plus_us(after_us));
        let ends = [
            (due(&self.off, micros(parameters.ignition_off)), EndReason::IgnitionOff),
            (due(&self.stop, micros(parameters.stationary)), EndReason::Stationary),
        ];
        let met = ends.into_iter().filter_map(|(due, reason)| due.map(|d| (d, reason)));
        met.filter(|(due, _)| now.ts() >= *due).min_by_key(|(due, _)| *due).map(|(_, reason)| reason)
    }
}
