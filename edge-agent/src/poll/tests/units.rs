//! Units of J1939 that are asked.

use super::*;
use crate::{
    faults::{EventKind, FaultBook, FaultEvent, FaultReport},
    j1939::{
        Acknowledgement, Event, Header, J1939Settings, Listener, Name, NodeSettings, Pgn, SourceAddress, Spn,
        SpnConversion, freeze::Place,
    },
    simulate::unit::SimulatedUnit,
};

const GATEWAY: u8 = 37;

fn unit(address: u8) -> SimulatedUnit {
    let name = Name(u64::from(address) + 1);
    let node = NodeSettings { name, address: SourceAddress(address), interface: Arc::from("vbus0") };
    SimulatedUnit::new(node, "WRLZZZSVH00000003")
}

fn asking(faults_every: Option<Duration>) -> PollSettings {
    let name = Name::off_vehicle_gateway(0, 4711);
    let j1939 = J1939Poll {
        address: SourceAddress(GATEWAY),
        name,
        faults_every,
        spn_conversion: SpnConversion::default(),
    };
    PollSettings { pids: Vec::new(), obd_faults_every: None, j1939: Some(j1939), ..settings() }
}

/// A truck's bus: units, a poller, and a listener that follows faults as the agent does.
struct Truck {
    bus: VirtualBus,
    units: Vec<(SimulatedUnit, VirtualEndpoint, VirtualWriter)>,
    poller: Poller,
    node: VirtualEndpoint,
    writer: VirtualWriter,
    listener: Listener,
    heard: Vec<FaultReport>,
    book: FaultBook,
    events: Vec<FaultEvent>,
    sent: Vec<Frame>,
    now: i64,
}

impl Truck {
    fn new(settings: PollSettings, flaws: VirtualBusSettings, units: Vec<SimulatedUnit>) -> Self {
        let bus = VirtualBus::new(flaws, Timestamp(0));
        let node = bus.endpoint();
        let units = units.into_iter().map(|unit| {
            let endpoint = bus.endpoint();
            let writer = endpoint.writer();
            (unit, endpoint, writer)
        });
        Self {
            units: units.collect(),
            poller: Poller::new(settings).unwrap(),
            writer: node.writer(),
            node,
            listener: Listener::new(J1939Settings::default()),
            heard: Vec::new(),
            book: FaultBook::default(),
            events: Vec::new(),
            sent: Vec::new(),
            now: 0,
            bus,
        }
    }

    fn run(&mut self, seconds: i64) {
        let end = self.now + seconds * SECOND;
        while self.now < end {
            self.now += 5 * MS;
            let now = Timestamp(self.now);
            self.bus.advance_to(now);
            for (unit, endpoint, writer) in &mut self.units {
                while let Ok(Polled::Frame(frame)) = endpoint.next_within(Duration::ZERO) {
                    unit.observe(&frame);
                }
                unit.tick(now);
                while let Some(frame) = unit.take_frame(now) {
                    writer.send(&frame).unwrap();
                }
            }
            let mut events = Vec::new();
            while let Ok(Polled::Frame(frame)) = self.node.next_within(Duration::ZERO) {
                self.poller.observe(&frame);
                self.listener.receive(&frame, &mut events);
            }
            for event in events {
                match event {
                    Event::Faults(report) => {
                        self.book.report(&report, &mut self.events);
                        self.heard.push(report);
                    }
                    Event::FreezeFrames(report) => self.book.freeze_frames(&report, &mut self.events),
                    _ => {}
                }
            }
            self.poller.tick(now);
            for frame in self.poller.take_outgoing() {
                self.writer.send(&frame).unwrap();
                self.sent.push(frame);
            }
        }
    }

    fn unit(&mut self) -> &mut SimulatedUnit {
        &mut self.units[0].0
    }

    fn previous(&self, ecu: &str) -> Vec<&FaultReport> {
        let is_it = |r: &&FaultReport| r.list == FaultList::Previous && r.ecu == ecu;
        self.heard.iter().filter(is_it).collect()
    }

    fn requests(&self, pgn: Pgn, of: u8) -> usize {
        let data = &pgn.number().to_le_bytes()[..3];
        let is_it = |frame: &&Frame| {
            let header = Header::of(frame.id).unwrap();
            header.pgn == Pgn::REQUEST && header.destination.0 == of && frame.data() == data
        };
        self.sent.iter().filter(is_it).count()
    }
}

fn with_history(unit: &mut SimulatedUnit) {
    for spn in [100, 110, 111, 97] {
        unit.raise(Spn(spn), 1);
        unit.heal(Spn(spn), 1);
    }
}

#[test]
fn every_unit_that_tells_faults_is_asked_for_those_it_had() {
    let settings = asking(Some(Duration::from_secs(20)));
    let mut truck = Truck::new(settings, VirtualBusSettings::default(), vec![unit(0), unit(11)]);
    with_history(truck.unit());
    truck.run(65);
    let engine = truck.previous("engine-1 (SA 0)");
    assert!((3..=4).contains(&engine.len()), "{}", engine.len());
    assert_eq!(engine[0].codes.len(), 4);
    assert_eq!(engine[0].codes[1].code, "SPN 110 FMI 1");
    assert!(truck.previous("brakes (SA 11)").iter().all(|report| report.codes.is_empty()));
    assert!(truck.previous("brakes (SA 11)").len() >= 3);
    assert!(truck.poller.take_unit_reports().len() >= 6);
    // Its own address was claimed before it asked anything.
    assert_eq!(Header::of(truck.sent[0].id).unwrap().pgn, Pgn::ADDRESS_CLAIMED);
    let second = truck.sent[1].time.since_us(truck.sent[0].time);
    assert!(second >= 250 * MS, "{second}");
    // Who the vehicle is, once; it came as a broadcast.
    let identities = truck.poller.take_identities();
    assert_eq!(identities[0].texts, ["WRLZZZSVH00000003"]);
    assert_eq!(truck.requests(Pgn::VEHICLE_IDENTIFICATION, 255), 1);
    let counts = truck.poller.counts();
    assert_eq!((counts.silent, counts.negative), (0, 0));
    assert_eq!(counts.requests, counts.positive);
    // Both lists of a single frame and the engine's connection stay within the bus's share.
    assert!(counts.bits < 65 * 10_000, "{}", counts.bits);
}

#[test]
fn nothing_is_sent_while_the_ignition_is_off_or_the_bus_is_quiet() {
    let settings = asking(Some(Duration::from_secs(5)));
    let mut truck = Truck::new(settings, VirtualBusSettings::default(), vec![unit(0)]);
    truck.poller.set_ignition(false);
    truck.run(30);
    assert_eq!(truck.sent, []);
    truck.poller.set_ignition(true);
    truck.run(30);
    let count = truck.sent.len();
    assert!(count > 5, "{count}");
    truck.unit().set_on(false);
    truck.run(6);
    let count = truck.sent.len();
    truck.run(60);
    assert_eq!(truck.sent.len(), count);
}

#[test]
fn a_unit_that_does_not_have_it_is_asked_less_and_less() {
    let settings = asking(Some(Duration::from_secs(5)));
    let mut truck = Truck::new(settings, VirtualBusSettings::default(), vec![unit(0)]);
    truck.unit().refuse(Pgn::DM2);
    truck.run(300);
    let count = truck.requests(Pgn::DM2, 0);
    assert!((5..=12).contains(&count), "{count} requests");
    assert_eq!(truck.poller.counts().negative, count as u64);
}

#[test]
fn commands_read_and_clear_a_truck_s_faults() {
    let mut truck = Truck::new(asking(None), VirtualBusSettings::default(), vec![unit(0), unit(11)]);
    assert_eq!(truck.poller.read_dtcs_now(), Err(PollRefusal::Asleep));
    with_history(truck.unit());
    truck.unit().raise(Spn(94), 18);
    truck.run(5);
    assert_eq!(truck.requests(Pgn::DM2, 0), 0);
    truck.poller.read_dtcs_now().unwrap();
    assert!(truck.poller.is_reading_dtcs());
    truck.run(5);
    assert!(!truck.poller.is_reading_dtcs());
    let reports = truck.poller.take_unit_reports();
    let lists: Vec<_> = reports.iter().map(|r| (r.ecu.as_str(), r.list, r.codes.len())).collect();
    let (engine, brakes) = ("engine-1 (SA 0)", "brakes (SA 11)");
    let (active, previous) = (FaultList::Active, FaultList::Previous);
    assert_eq!(
        lists,
        [(engine, active, 1), (engine, previous, 4), (brakes, active, 0), (brakes, previous, 0)]
    );

    truck.units[1].0.refuse(Pgn::DM11);
    truck.poller.clear_dtcs(ClearPermit::of_checked_command()).unwrap();
    truck.run(5);
    assert!(!truck.poller.is_clearing_dtcs());
    let refused = Err(ClearFault::NotAcknowledged(Acknowledgement::Negative));
    let cleared: Vec<_> = truck.poller.take_cleared().into_iter().map(|c| (c.ecu, c.result)).collect();
    let expected = [(engine, Ok(())), (engine, Ok(())), (brakes, refused), (brakes, Ok(()))]
        .map(|(e, r)| (e.to_owned(), r));
    assert_eq!(cleared, expected);
    assert_eq!((truck.unit().active_count(), truck.unit().previous_count()), (0, 0));
}

#[test]
fn where_its_address_is_taken_it_asks_from_another() {
    let settings = asking(Some(Duration::from_secs(5)));
    let mut truck = Truck::new(settings, VirtualBusSettings::default(), vec![unit(0), unit(GATEWAY)]);
    truck.run(30);
    let sources: BTreeSet<u8> = truck.sent.iter().map(|f| Header::of(f.id).unwrap().source.0).collect();
    // It heard the other's claim before it made its own.
    assert_eq!(sources, [128].into());
    assert_eq!(truck.units[1].0.address(), Some(SourceAddress(GATEWAY)));
    assert!(truck.previous("engine-1 (SA 0)").len() >= 4);
}

#[test]
fn on_a_bus_that_loses_frames_whole_lists_still_come() {
    let flaws = VirtualBusSettings { loss: 0.05, seed: 11, ..VirtualBusSettings::default() };
    let mut truck = Truck::new(asking(Some(Duration::from_secs(5))), flaws, vec![unit(0)]);
    with_history(truck.unit());
    truck.run(120);
    let lists = truck.previous("engine-1 (SA 0)");
    assert!(lists.len() >= 8, "{}", lists.len());
    assert!(lists.iter().all(|report| report.codes.len() == 4));
}

#[test]
fn a_unit_that_tells_its_faults_in_long_messages_only_is_asked_too() {
    let mut engine = unit(0);
    for (spn, fmi) in [(94, 18), (100, 1), (110, 16), (111, 18)] {
        engine.raise(Spn(spn), fmi);
    }
    engine.heal(Spn(94), 18);
    let settings = asking(Some(Duration::from_secs(2)));
    let mut truck = Truck::new(settings, VirtualBusSettings::default(), vec![engine]);
    truck.run(8);
    assert!(truck.heard.iter().any(|report| report.list == FaultList::Active && report.codes.len() == 3));
    let previous = truck.previous("engine-1 (SA 0)");
    assert_eq!(previous.first().map(|report| report.codes[0].code.as_str()), Some("SPN 94 FMI 18"));
}

/// What each event of the truck's faults says: kind, code, freeze frame.
fn followed(truck: &Truck) -> Vec<(EventKind, String, Option<serde_json::Value>)> {
    let told = |event: &FaultEvent| {
        let code = event.code.clone().unwrap();
        let frame = code.freeze_frame.map(|frame| serde_json::from_str(&frame).unwrap());
        (event.kind, code.code, frame)
    };
    truck.events.iter().filter(|event| event.code.is_some()).map(told).collect()
}

#[test]
fn a_fault_comes_with_what_the_engine_did_when_it_appeared() {
    let settings = asking(Some(Duration::from_secs(60)));
    let mut truck = Truck::new(settings, VirtualBusSettings::default(), vec![unit(0)]);
    truck.run(5);
    assert_eq!(truck.requests(Pgn::DM24, 0), 0);
    truck.unit().raise(Spn(94), 18);
    truck.run(20);
    // It has no list of its own, and its frames are those of the standard.
    assert_eq!((truck.requests(Pgn::DM24, 0), truck.requests(Pgn::DM4, 0)), (1, 1));
    let events = followed(&truck);
    assert_eq!((events[0].0, &*events[0].1, &events[0].2), (EventKind::Raise, "SPN 94 FMI 18", &None));
    assert_eq!((events[1].0, &*events[1].1), (EventKind::Change, "SPN 94 FMI 18"));
    let frame = events[1].2.as_ref().unwrap();
    assert_eq!((&frame["EngineSpeed_rpm"], &frame["VehicleSpeed_kmh"]), (&1500.0.into(), &64.0.into()));
    // DM1, which is told each second and has no frames, changes nothing.
    assert_eq!(events.len(), 2);
    // Another fault: only its own frame is new.
    truck.unit().set_values(&[1, 60, 0, 0, 0, 125, 0, 0], &[], &[]);
    truck.unit().raise(Spn(100), 1);
    truck.run(20);
    assert_eq!((truck.requests(Pgn::DM24, 0), truck.requests(Pgn::DM4, 0)), (1, 2));
    let events = followed(&truck);
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!((events[3].0, &*events[3].1), (EventKind::Change, "SPN 100 FMI 1"));
    assert_eq!(events[3].2.as_ref().unwrap()["EngineSpeed_rpm"], 0.0);
}

#[test]
fn a_unit_with_frames_of_its_own_choice_is_asked_for_those() {
    let layout = [(92, 1), (190, 2), (3216, 2)].map(|(spn, bytes)| Place { spn: Spn(spn), bytes });
    let mut engine = unit(0);
    engine.set_values(&[0xFF; 8], &layout, &[55, 0x80, 0x25, 0x34, 0x12]);
    for spn in [94, 100, 110] {
        engine.raise(Spn(spn), 1);
    }
    let settings = asking(Some(Duration::from_secs(60)));
    let mut truck = Truck::new(settings, VirtualBusSettings::default(), vec![engine]);
    truck.run(30);
    let asked = [Pgn::DM24, Pgn::DM25, Pgn::DM4].map(|pgn| truck.requests(pgn, 0));
    assert_eq!(asked, [1, 1, 0]);
    let events = followed(&truck);
    let expected =
        serde_json::json!({"EngineLoad_percent": 55.0, "EngineSpeed_rpm": 1200.0, "SPN 3216": 0x1234});
    let frozen: Vec<_> = events.iter().filter(|(_, _, frame)| frame.as_ref() == Some(&expected)).collect();
    assert_eq!(frozen.len(), 3, "{events:?}");
}

#[test]
fn a_unit_without_freeze_frames_is_asked_once() {
    let mut engine = unit(0);
    [Pgn::DM4, Pgn::DM24, Pgn::DM25].into_iter().for_each(|pgn| engine.refuse(pgn));
    let settings = asking(Some(Duration::from_secs(5)));
    let mut truck = Truck::new(settings, VirtualBusSettings::default(), vec![engine]);
    for fmi in 1..6 {
        truck.unit().raise(Spn(94), fmi);
        truck.run(20);
    }
    let asked = [Pgn::DM24, Pgn::DM25, Pgn::DM4].map(|pgn| truck.requests(pgn, 0));
    assert_eq!(asked, [1, 0, 1]);
    // Nor is it asked less for the rest.
    assert!(truck.requests(Pgn::DM2, 0) >= 17, "{}", truck.requests(Pgn::DM2, 0));
}

#[test]
fn on_a_bus_that_loses_frames_a_freeze_frame_still_comes() {
    let flaws = VirtualBusSettings { loss: 0.1, seed: 3, ..VirtualBusSettings::default() };
    let mut truck = Truck::new(asking(Some(Duration::from_secs(30))), flaws, vec![unit(0)]);
    truck.unit().raise(Spn(94), 18);
    truck.run(120);
    assert!(followed(&truck).iter().any(|(_, _, frame)| frame.is_some()));
}

#[test]
fn a_unit_that_was_silent_for_a_while_is_still_asked_in_its_way() {
    let mut truck =
        Truck::new(asking(Some(Duration::from_secs(60))), VirtualBusSettings::default(), vec![unit(0)]);
    truck.unit().raise(Spn(94), 18);
    truck.run(15);
    assert_eq!(truck.requests(Pgn::DM4, 0), 1);
    // It tells its faults and answers nothing, however often it is asked.
    truck.unit().set_mute(true);
    truck.unit().raise(Spn(100), 1);
    truck.run(60);
    assert_eq!(truck.requests(Pgn::DM4, 0), 4);
    truck.unit().set_mute(false);
    truck.unit().raise(Spn(110), 0);
    truck.run(20);
    assert_eq!((truck.requests(Pgn::DM24, 0), truck.requests(Pgn::DM4, 0)), (1, 5));
    let frozen = followed(&truck).into_iter().filter(|(_, _, frame)| frame.is_some()).count();
    assert_eq!(frozen, 3);
}
