//! Standing with the engine on, in stretches long enough to count.

use service::clock::micros;
use wire::time::Timestamp;

use super::{
    Parameters,
    event::{DrivingEvent, EventKind},
    motion::Observation,
};

/// Finds idling, in a trip or in a stop.
#[derive(Debug, Clone, Default)]
pub(super) struct Idling {
    stretch: Option<(Observation, Timestamp)>,
    total_us: i64,
    events: Vec<DrivingEvent>,
}

impl Idling {
    /// Takes the step from one reading to the next.
    pub(super) fn add(&mut self, last: &Observation, next: &Observation, parameters: &Parameters) {
        let is_seen = next.ts().since_us(last.ts()) < micros(parameters.gap);
        if is_seen && last.is_moving(parameters) == Some(false) && last.is_engine_on {
            let since = self.stretch.map_or(*last, |stretch| stretch.0);
            self.stretch = Some((since, next.ts()));
        } else {
            self.end(parameters);
        }
    }

    fn end(&mut self, parameters: &Parameters) {
        let Some((since, until)) = self.stretch.take() else { return };
        let stretch_us = until.since_us(since.ts());
        if stretch_us > micros(parameters.idle_min) {
            self.total_us += stretch_us;
            let event = DrivingEvent::of(EventKind::Idling, since.ts(), until, "engine");
            self.events.push(DrivingEvent { fix: since.reading.fix(), ..event });
        }
    }

    /// What is over so far.
    pub(super) fn events(&self) -> &[DrivingEvent] {
        &self.events
    }

    /// Time in all stretches, and the stretches.
    pub(super) fn finish(mut self, parameters: &Parameters) -> (i64, Vec<DrivingEvent>) {
        self.end(parameters);
        (self.total_us, self.events)
    }
}
