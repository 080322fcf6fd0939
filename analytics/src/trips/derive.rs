//! The state machine: parked, or driving with what might become its end.

use service::clock::micros;
use wire::time::Timestamp;

use super::{
    Parameters,
    corrections::Corrections,
    levels::StopStart,
    motion::{Observation, Recent},
    reading::Reading,
    segment::{DerivedTrip, EndReason, Segment},
    stop::{DerivedStop, StopTrack},
};

/// What one vehicle's readings amount to: trips, and the stop after each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Derivation {
    /// Finished trips, in order.
    pub trips: Vec<DerivedTrip>,
    /// Stops, in order: each starts at the end of a trip and ends at the start of the next. What
    /// was before the first trip is none.
    pub stops: Vec<DerivedStop>,
    /// The trip that no reading has ended yet.
    pub open: Option<OpenTrip>,
    /// Trips too short to be any.
    pub dropped_count: u64,
}

/// A trip still under way.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenTrip {
    /// First reading in motion.
    pub start_time: Timestamp,
    /// What it would be if it ended now; `None` while it is too short to be a trip.
    pub so_far: Option<Box<EndedNow>>,
}

/// An open trip as silence would end it.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedNow {
    /// Its figures up to its last reading.
    pub trip: DerivedTrip,
    /// The stop before it, ended by it; `None` when nothing is known from before.
    pub stop_before: Option<DerivedStop>,
    /// The stop that begins with its end.
    pub stop_after: DerivedStop,
}

impl Derivation {
    /// Nothing more is to come: the trip under way ends with its last reading.
    pub fn end_by_silence(&mut self) {
        let Some(ended) = self.open.take().and_then(|open| open.so_far) else { return };
        let EndedNow { trip, stop_before, stop_after } = *ended;
        if let Some(stop_before) = stop_before {
            // It was open, and the last.
            self.stops.pop();
            self.stops.push(stop_before);
        }
        self.trips.push(trip);
        self.stops.push(stop_after);
    }
}

/// Derives the trips of one vehicle's readings, given in any order.
pub fn derive(readings: &[Reading], parameters: &Parameters) -> Derivation {
    run(Deriver::new(*parameters), readings)
}

/// Derives what comes after the end of a trip: of readings from its end on, or, where a gap or
/// silence ended it, of those after.
pub fn derive_after(start: StopStart, readings: &[Reading], parameters: &Parameters) -> Derivation {
    run(Deriver::after(start, *parameters), readings)
}

fn run(mut deriver: Deriver, readings: &[Reading]) -> Derivation {
    let mut sorted = readings.to_vec();
    sorted.sort_by_key(|r| r.ts);
    for reading in sorted {
        deriver.push(reading);
    }
    deriver.finish()
}

/// The streaming form: readings in order of time.
#[derive(Debug)]
pub struct Deriver {
    parameters: Parameters,
    /// The newest reading waits for others of its instant.
    held: Option<Reading>,
    recent: Recent,
    phase: Phase,
    /// The stop under way. It takes every reading, so that it is whole when a segment proves too
    /// short to be a trip; `None` before the first trip.
    stop: Option<StopTrack>,
    found: Derivation,
    corrections: Corrections,
}

#[derive(Debug)]
enum Phase {
    Parked {
        /// Motion that has not become a trip yet.
        pending: Option<Box<Started>>,
    },
    Driving(Box<Driving>),
}

/// A segment, and the stop as it was when it started.
#[derive(Debug)]
struct Started {
    segment: Segment,
    stop_before: Option<StopTrack>,
}

#[derive(Debug)]
struct Driving {
    start_time: Timestamp,
    segment: Segment,
    stop_before: Option<StopTrack>,
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
    /// The stop under way up to here, for when the segment is no trip.
    stop: Option<StopTrack>,
}

impl Deriver {
    /// Knows nothing yet.
    pub fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            held: None,
            recent: Recent::default(),
            phase: Phase::Parked { pending: None },
            stop: None,
            found: Derivation::default(),
            corrections: Corrections::default(),
        }
    }

    /// Takes a derivation up again at the end of a finished trip: see [`derive_after`].
    pub fn after(start: StopStart, parameters: Parameters) -> Self {
        Self { stop: Some(StopTrack::new(start, &parameters)), ..Self::new(parameters) }
    }

    /// Heeds what people said of these trips.
    #[must_use]
    pub fn corrected(mut self, corrections: Corrections) -> Self {
        self.corrections = corrections;
        self
    }

    /// Takes the next reading. A reading older than the one before is left out: sort first.
    pub fn push(&mut self, reading: Reading) {
        match self.held {
            Some(held) if held.ts == reading.ts => self.held = Some(held.joined(&reading)),
            Some(held) if held.ts > reading.ts => {}
            held => {
                self.held = Some(reading);
                if let Some(held) = held {
                    self.step(held);
                }
            }
        }
    }

    /// No more readings.
    pub fn finish(mut self) -> Derivation {
        if let Some(held) = self.held.take() {
            self.step(held);
        }
        let parameters = &self.parameters;
        let open_stop = match self.phase {
            Phase::Parked { .. } => self.stop,
            Phase::Driving(driving) => {
                let Driving { start_time, segment, stop_before, .. } = *driving;
                let so_far = segment.clone().finish(EndReason::Silence, parameters).map(|trip| {
                    let closed = |track: StopTrack| track.close(&segment, parameters);
                    Box::new(EndedNow {
                        stop_before: stop_before.clone().map(closed),
                        stop_after: StopTrack::new(trip.rest, parameters).open(parameters),
                        trip,
                    })
                });
                self.found.open = Some(OpenTrip { start_time, so_far });
                stop_before
            }
        };
        self.found.stops.extend(open_stop.map(|track| track.open(parameters)));
        self.corrections.apply(self.found, parameters)
    }

    fn step(&mut self, reading: Reading) {
        let is_gap = self
            .recent
            .last()
            .is_some_and(|last| reading.ts.since_us(last.ts()) >= micros(self.parameters.gap));
        if is_gap {
            if let Phase::Driving(driving) = self.park() {
                self.close(driving.segment, driving.stop_before, EndReason::Gap);
            }
            self.recent = Recent::default();
        }
        if let Some(last) = self.recent.last().map(|last| last.reading)
            && self.corrections.cuts_between(last.ts, reading.ts)
        {
            self.cut(last);
        }
        let before = self.recent.last().copied();
        let now = self.recent.observe(reading, &self.parameters);
        let starts = matches!(self.phase, Phase::Parked { pending: None })
            && now.is_moving(&self.parameters) == Some(true);
        let stop_before = if starts { self.stop.clone() } else { None };
        if let Some(stop) = &mut self.stop {
            stop.add(&now, &self.parameters);
        }
        match &mut self.phase {
            Phase::Parked { pending } => {
                *pending = match (pending.take(), now.is_moving(&self.parameters)) {
                    // Motion that never became driving: drift, or a push by hand.
                    (_, Some(false)) | (None, None) => None,
                    (None, Some(true)) => {
                        let segment = Segment::start(before.as_ref(), &now, &self.parameters);
                        let ended = self.stop.as_ref().map(StopTrack::start_time);
                        let is_cut = ended.is_some_and(|ended| self.corrections.cuts_from(ended, now.ts()));
                        let segment = if is_cut { segment.cut() } else { segment };
                        Some(Box::new(Started { segment, stop_before }))
                    }
                    (Some(mut started), _) => {
                        started.segment.add(&now, &self.parameters);
                        Some(started)
                    }
                };
                let is_start = now.is_driving(&self.parameters)
                    || (now.ignition_on == Some(true) && now.is_moving(&self.parameters) == Some(true));
                if is_start && let Some(started) = pending.take() {
                    self.phase = Phase::Driving(Box::new(Driving::of(*started)));
                }
            }
            Phase::Driving(driving) => {
                if let Some(end_reason) = driving.step(&now, self.stop.as_ref(), &self.parameters) {
                    self.end(end_reason);
                }
            }
        }
    }

    /// Ends the trip at its candidate and begins anew from there.
    fn end(&mut self, end_reason: EndReason) {
        let Phase::Driving(driving) = self.park() else { return };
        let candidate = if end_reason == EndReason::IgnitionOff { driving.off } else { driving.stop };
        let Some(candidate) = candidate else { return };
        self.end_at(candidate, driving.stop_before, driving.tail, end_reason);
    }

    fn end_at(
        &mut self,
        candidate: Candidate,
        stop_before: Option<StopTrack>,
        tail: Vec<Reading>,
        end_reason: EndReason,
    ) {
        self.stop = candidate.stop;
        self.close(candidate.segment, stop_before, end_reason);
        self.recent = Recent::default();
        // Each turn starts later than the one before, so this ends.
        for reading in tail.into_iter().filter(|r| r.ts >= candidate.since) {
            self.step(reading);
        }
    }

    /// People split the trip under way: it ends with its last reading, or where it came to stand before that,
    /// and what comes begins anew from there.
    fn cut(&mut self, last: Reading) {
        if !matches!(self.phase, Phase::Driving(_)) {
            return;
        }
        let Phase::Driving(driving) = self.park() else { return };
        let Driving { segment, stop_before, stop, off, tail, .. } = *driving;
        let stood = [stop, off].into_iter().flatten().min_by_key(|candidate| candidate.since);
        if let Some(candidate) = stood {
            let candidate = Candidate { segment: candidate.segment.cut(), ..candidate };
            self.end_at(candidate, stop_before, tail, EndReason::Split);
        } else {
            self.close(segment.cut(), stop_before, EndReason::Split);
            self.recent = Recent::default();
            self.step(last);
        }
    }

    fn park(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Parked { pending: None })
    }

    fn close(&mut self, segment: Segment, stop_before: Option<StopTrack>, end_reason: EndReason) {
        let Some(trip) = segment.clone().finish(end_reason, &self.parameters) else {
            self.found.dropped_count += 1;
            return;
        };
        let closed = stop_before.map(|track| track.close(&segment, &self.parameters));
        self.found.stops.extend(closed);
        self.stop = Some(StopTrack::new(trip.rest, &self.parameters));
        self.found.trips.push(trip);
    }
}

impl Driving {
    fn of(started: Started) -> Self {
        let Started { segment, stop_before } = started;
        Self {
            start_time: segment.start_time(),
            segment,
            stop_before,
            stop: None,
            off: None,
            tail: Vec::new(),
        }
    }

    /// Takes the next reading; says whether the trip has ended, and at which candidate.
    fn step(
        &mut self,
        now: &Observation,
        stop: Option<&StopTrack>,
        parameters: &Parameters,
    ) -> Option<EndReason> {
        self.segment.add(now, parameters);
        let candidate = |held: &mut Option<Candidate>, segment: &Segment| {
            held.get_or_insert_with(|| Candidate {
                since: now.ts(),
                segment: segment.clone(),
                stop: stop.cloned(),
            });
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
