#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use std::sync::Arc;

use super::*;
use crate::{
    faults::{FaultList, FaultReport},
    j1939::{Event, J1939Settings, Listener, Name},
};

const MS: i64 = 1000;

/// A unit at address 0, another node that asks it, and a listener that hears both.
struct Bench {
    unit: SimulatedUnit,
    asker: Node,
    listener: Listener,
    events: Vec<Event>,
    answers: Vec<NodeEvent>,
    now: i64,
}

impl Bench {
    fn new() -> Self {
        let node = |address, name| NodeSettings {
            name: Name(name),
            address: SourceAddress(address),
            interface: Arc::from("vbus0"),
        };
        let mut bench = Self {
            unit: SimulatedUnit::new(node(0, 1), "WRLZZZSVH00000002"),
            asker: Node::new(node(37, 2)),
            listener: Listener::new(J1939Settings::default()),
            events: Vec::new(),
            answers: Vec::new(),
            now: 0,
        };
        bench.run(300);
        bench
    }

    fn run(&mut self, ms: i64) {
        for _ in 0..ms {
            self.now += MS;
            let now = Timestamp(self.now);
            self.unit.tick(now);
            while let Some(frame) = self.unit.take_frame(now) {
                self.asker.observe(&frame);
                self.listener.receive(&frame, &mut self.events);
            }
            while let Some(frame) = self.asker.take_frame(now) {
                self.unit.observe(&frame);
                self.listener.receive(&frame, &mut self.events);
            }
            self.answers.extend(std::iter::from_fn(|| self.asker.take_event()));
        }
    }

    fn ask(&mut self, pgn: Pgn, of: u8) {
        self.asker.ask(pgn, SourceAddress(of)).unwrap();
        self.run(900);
    }

    fn reports(&self, list: FaultList) -> Vec<&FaultReport> {
        let reports = self.events.iter().filter_map(|event| match event {
            Event::Faults(report) if report.list == list => Some(report),
            _ => None,
        });
        reports.collect()
    }

    fn codes(&self, list: FaultList) -> Vec<String> {
        self.reports(list).last().unwrap().codes.iter().map(|code| code.code.clone()).collect()
    }
}

#[test]
fn active_faults_are_told_each_second_in_one_frame_or_many() {
    let mut bench = Bench::new();
    bench.run(5000);
    assert!((4..=6).contains(&bench.reports(FaultList::Active).len()));
    assert!(bench.codes(FaultList::Active).is_empty());
    bench.unit.raise(Spn(100), 1);
    bench.run(1100);
    assert_eq!(bench.codes(FaultList::Active), ["SPN 100 FMI 1"]);
    for spn in [110, 111, 520_192] {
        bench.unit.raise(Spn(spn), 3);
    }
    bench.run(2500);
    let report = (*bench.reports(FaultList::Active).last().unwrap()).clone();
    assert_eq!(report.ecu, "engine-1 (SA 0)");
    assert_eq!(report.codes[3].spn, Some(520_192));
    assert_eq!(report.codes[3].occurrences, Some(1));
    // The amber lamp, which does not flash.
    assert_eq!(report.codes[0].status_bits, Some(0xFF04));
}

#[test]
fn what_there_was_is_told_to_who_asks_and_cleared_by_who_may() {
    let mut bench = Bench::new();
    for spn in [100, 110, 111] {
        bench.unit.raise(Spn(spn), 1);
        bench.unit.heal(Spn(spn), 1);
    }
    bench.unit.raise(Spn(94), 18);
    bench.run(1500);
    assert!(bench.reports(FaultList::Previous).is_empty());
    // To one asker by a connection, to everyone as a broadcast: both are heard.
    for (of, reports) in [(0, 1), (255, 2)] {
        bench.ask(Pgn::DM2, of);
        assert_eq!(bench.reports(FaultList::Previous).len(), reports);
        assert_eq!(bench.codes(FaultList::Previous), ["SPN 100 FMI 1", "SPN 110 FMI 1", "SPN 111 FMI 1"]);
    }
    bench.ask(Pgn::DM3, 0);
    bench.ask(Pgn::DM11, 0);
    assert_eq!((bench.unit.active_count(), bench.unit.previous_count()), (0, 0));
    let cleared = bench.events.iter().filter(|e| matches!(e, Event::Cleared { .. })).count();
    assert_eq!(cleared, 2);
    bench.ask(Pgn::DM2, 0);
    assert!(bench.codes(FaultList::Previous).is_empty());
    // It counts on when a fault comes back after it healed.
    bench.unit.raise(Spn(100), 1);
    bench.unit.heal(Spn(100), 1);
    bench.unit.raise(Spn(100), 1);
    bench.run(1100);
    assert_eq!(bench.reports(FaultList::Active).last().unwrap().codes[0].occurrences, Some(2));
}

#[test]
fn it_says_who_it_is_and_what_it_does_not_know() {
    let mut bench = Bench::new();
    bench.ask(Pgn::VEHICLE_IDENTIFICATION, 0);
    let told = bench.answers.iter().find_map(|event| match event {
        NodeEvent::Message(message) => Some(message.data.clone()),
        _ => None,
    });
    assert_eq!(told.unwrap(), b"WRLZZZSVH00000002*");
    bench.answers.clear();
    bench.unit.refuse(Pgn::DM11);
    bench.unit.raise(Spn(94), 18);
    for pgn in [Pgn::DM11, Pgn::COMPONENT_IDENTIFICATION] {
        bench.ask(pgn, 0);
        let (by, how) = (SourceAddress(0), Acknowledgement::Negative);
        assert_eq!(bench.answers.pop(), Some(NodeEvent::Acknowledged { pgn, by, how }));
        // Everyone was asked: nobody says that he does not know.
        bench.ask(pgn, 255);
        assert_eq!(bench.answers, []);
    }
    assert_eq!(bench.unit.active_count(), 1);
    bench.unit.set_on(false);
    let before = bench.events.len();
    bench.ask(Pgn::DM2, 0);
    bench.run(3000);
    assert_eq!(bench.events.len(), before);
}

#[test]
fn more_faults_than_the_transport_protocol_carries_go_by_the_extended_one() {
    let mut bench = Bench::new();
    for spn in 1..=600 {
        bench.unit.raise(Spn(spn), 1);
        bench.unit.heal(Spn(spn), 1);
    }
    bench.ask(Pgn::DM2, 0);
    let codes = bench.codes(FaultList::Previous);
    assert_eq!((codes.len(), codes[599].as_str()), (600, "SPN 600 FMI 1"));
    assert_eq!(bench.listener.counts().completed, 1);
    // The asker has it whole too, and has told the unit so.
    let is_it =
        |event: &NodeEvent| matches!(event, NodeEvent::Message(message) if message.data.len() == 2402);
    assert_eq!(bench.answers.iter().filter(|event| is_it(event)).count(), 1);
    assert!(bench.unit.node.is_idle());
    // There is no broadcast of so much: everyone is told nothing.
    bench.ask(Pgn::DM2, 255);
    assert_eq!(bench.reports(FaultList::Previous).len(), 1);
}
