//! From frames and reports to batches of `diagnostics`: the listener, the book and the columns
//! of one agent.

use wire::{catalog::Catalog, time::Timestamp};

use crate::{
    collect::{Cut, FaultColumns},
    decode::Decoder,
    faults::{FaultBook, FaultEvent, FaultReport, FaultSettings, Protocol},
    frame::Frame,
    j1939::{Event, J1939Settings, Listen, Listener, Message, TransportCounts},
    metrics,
};

/// Follows the faults of one vehicle.
pub(super) struct FaultWatch {
    listener: Option<Listener>,
    book: FaultBook,
    columns: Option<FaultColumns>,
    /// Events up to here are in the spool already.
    resume_after: Option<Timestamp>,
    /// Of the frame at hand.
    heard: Vec<Event>,
    events: Vec<FaultEvent>,
    sessions_told: TransportCounts,
}

impl FaultWatch {
    pub(super) fn new(
        catalog: &Catalog,
        decoder: &Decoder,
        (j1939, faults): (&J1939Settings, FaultSettings),
        resume_after: Option<Timestamp>,
    ) -> Self {
        let listens = match j1939.listen {
            Listen::Always => true,
            Listen::Never => false,
            Listen::Auto => decoder.messages().iter().any(|message| message.is_j1939),
        };
        Self {
            listener: listens.then(|| Listener::new(j1939.clone())),
            book: FaultBook::new(faults),
            columns: FaultColumns::of(catalog),
            resume_after,
            heard: Vec::new(),
            events: Vec::new(),
            sessions_told: TransportCounts::default(),
        }
    }

    /// Takes a frame of a bus. What it tells of faults is added to `cuts`; `visit` gets the
    /// message of many frames that it completes.
    pub(super) fn frame(&mut self, frame: &Frame, cuts: &mut Vec<Cut>, mut visit: impl FnMut(&Message)) {
        let Some(listener) = &mut self.listener else { return };
        if !listener.receive(frame, &mut self.heard) {
            return;
        }
        let mut heard = std::mem::take(&mut self.heard);
        for event in heard.drain(..) {
            match event {
                Event::Message(message) => visit(&message),
                Event::Faults(report) => self.report(&report, cuts),
                Event::FreezeFrames(report) => {
                    self.book.freeze_frames(&report, &mut self.events);
                    self.cut(cuts);
                }
                Event::Cleared { time, ecu, list } => {
                    self.book.cleared(time, (Protocol::J1939, &ecu, list), &mut self.events);
                    self.cut(cuts);
                }
            }
        }
        self.heard = heard;
    }

    /// Takes a whole list of faults, heard or asked for.
    pub(super) fn report(&mut self, report: &FaultReport, cuts: &mut Vec<Cut>) {
        self.book.report(report, &mut self.events);
        self.cut(cuts);
    }

    fn cut(&mut self, cuts: &mut Vec<Cut>) {
        if self.events.is_empty() {
            return;
        }
        let resume_after = self.resume_after;
        self.events.retain(|event| resume_after.is_none_or(|after| event.time > after));
        for event in &self.events {
            metrics::fault_event(event.kind);
        }
        if let Some(columns) = self.columns {
            columns.cut(&self.events, cuts);
        }
        self.events.clear();
    }

    /// Counts how long messages ended since the last call.
    pub(super) fn count(&mut self) {
        let Some(listener) = &self.listener else { return };
        let now = listener.counts();
        if now == self.sessions_told {
            return;
        }
        for ((outcome, now), (_, before)) in now.by_name().into_iter().zip(self.sessions_told.by_name()) {
            metrics::j1939_sessions(outcome, now - before);
        }
        self.sessions_told = now;
    }
}

#[cfg(test)]
mod tests;
