#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    faults::{FaultList, Protocol},
    isotp::{Address, LinkSettings},
    obd::{self, Addressing},
    simulate::ecu::{EcuSettings, SimulatedEcu},
    source::{
        BusWriter, Polled, Source,
        virtual_bus::{VirtualBus, VirtualBusSettings, VirtualEndpoint, VirtualWriter},
    },
    uds::{DtcCode, NegativeCode},
};
use bench::{Bench, battery, battery_in, engine, gearbox, settings};

mod bench;
mod units;

const MS: i64 = 1000;
const SECOND: i64 = 1_000_000;
const LEAN: DtcCode = DtcCode([0x01, 0x71, 0x00]);

#[test]
fn supported_values_are_asked_by_their_period_and_the_rest_left_out() {
    let mut bench = Bench::with_engine(settings());
    bench.run(21);
    assert!((98..=105).contains(&bench.answers_of(0x0C)), "{}", bench.answers_of(0x0C));
    assert!((3..=5).contains(&bench.answers_of(0x05)), "{}", bench.answers_of(0x05));
    let frame = bench.answers.iter().find(|f| f.data()[1] == 0x0C).unwrap();
    assert_eq!(frame.data(), [0x41, 0x0C, 0x1A, 0xF8]);
    assert_eq!(bench.poller.unsupported_pids().collect::<Vec<_>>(), [0x5C]);
    assert_eq!(bench.sent[0].id.raw, 0x7DF);
    assert!(bench.sent[1..].iter().all(|frame| frame.id.raw == 0x7E0));
}

#[test]
fn a_value_two_control_units_have_is_asked_of_the_first() {
    let mut bench = Bench::new(settings(), VirtualBusSettings::default(), vec![gearbox(), engine()]);
    bench.run(10);
    let speeds: BTreeSet<u8> =
        bench.answers.iter().filter(|f| f.data()[1] == 0x0D).map(|f| f.data()[2]).collect();
    assert_eq!(speeds, [88].into());
    // Both tell who they are.
    let identities = bench.poller.take_identities();
    let vins = identities.iter().filter(|i| i.info_type == obd::INFO_VIN);
    assert_eq!(vins.map(|i| (i.ecu.as_str(), i.texts[0].len())).collect::<Vec<_>>().len(), 2);
    assert!(identities.iter().any(|i| i.texts == ["ECM-EngineControl"]));
}

#[test]
fn a_fault_comes_with_its_freeze_frame_and_goes_when_it_is_cleared() {
    let mut bench = Bench::with_engine(settings());
    bench.run(2);
    assert!(bench.last(FaultList::Confirmed).codes.is_empty());
    bench.engine().raise(LEAN);
    bench.engine().set_pid(0x0D, &[20]);
    bench.run(25);
    let report = bench.last(FaultList::Confirmed);
    assert_eq!((report.ecu.as_str(), report.protocol), ("7E8", Protocol::Obd));
    assert_eq!(report.codes[0].code, "P0171");
    let freeze: serde_json::Value =
        serde_json::from_str(report.codes[0].freeze_frame.as_deref().unwrap()).unwrap();
    assert_eq!(freeze["EngineSpeed_rpm"], 1726.0);
    assert_eq!(freeze["VehicleSpeed_kmh"], 88.0);
    for list in [FaultList::Pending, FaultList::Permanent] {
        assert_eq!(bench.last(list).codes.len(), 1, "{list:?}");
    }
    bench.poller.clear_dtcs(ClearPermit::of_checked_command()).unwrap();
    bench.run(3);
    assert_eq!(bench.poller.take_cleared(), [Cleared { ecu: "7E8".to_owned(), result: Ok(()) }]);
    assert!(!bench.engine().has_codes());
    assert!(bench.last(FaultList::Confirmed).codes.is_empty());
}

#[test]
fn nothing_is_cleared_without_a_command() {
    let mut bench = Bench::with_engine(settings());
    bench.engine().raise(LEAN);
    bench.run(100);
    let is_clearing = |frame: &&Frame| matches!(frame.data(), [1, 0x04, ..] | [4, 0x14, ..]);
    assert_eq!(bench.sent.iter().filter(is_clearing).count(), 0);
    assert!(bench.engine().has_codes());
}

#[test]
fn a_uds_control_unit_tells_codes_with_records_and_identifiers_over_many_frames() {
    let (mut ecu, settings) = battery();
    let data: Vec<u8> = (0..90).collect();
    ecu.set_did(0x0101, &data);
    ecu.set_pid(0x0C, &[1, 2]);
    ecu.raise(LEAN);
    ecu.be_slow(uds_read_dtcs(), 2);
    ecu.be_busy(0x22, 1);
    let mut bench = Bench::new(settings, VirtualBusSettings::default(), vec![ecu]);
    bench.run(19);
    let code = &bench.last(FaultList::Active).codes[0];
    assert_eq!((code.code.as_str(), code.status_bits), ("P0171-00", Some(0x2F)));
    let records: serde_json::Value = serde_json::from_str(code.freeze_frame.as_deref().unwrap()).unwrap();
    assert_eq!(records["extended_data"], "0101");
    assert_eq!(records["snapshot"], "0102F40C0102F41C06");
    assert_eq!(bench.engine().session(), 3);
    // 93 bytes: a frame of 64 and one of 29.
    let pages: Vec<&Frame> = bench.answers.iter().take(2).collect();
    assert_eq!((pages[0].id.raw, pages[0].data().len()), (0x1FFF_F110, 64));
    assert_eq!((pages[1].id.raw, pages[1].data().len()), (0x1FFF_F111, 29));
    assert_eq!([&pages[0].data()[3..], pages[1].data()].concat(), data);
    // Healed, the code is confirmed and no longer active.
    bench.engine().heal(LEAN);
    bench.run(25);
    assert!(bench.last(FaultList::Active).codes.is_empty());
    assert_eq!(bench.last(FaultList::Confirmed).codes[0].status_bits, Some(0x28));
}

#[test]
fn a_control_unit_is_asked_in_frames_of_can_fd_where_its_settings_say_so() {
    for frames in [EcuFrames::Fd, EcuFrames::FdRateSwitched] {
        let (mut ecu, mut settings) = battery_in(LinkSettings { frame_bytes: 64, ..LinkSettings::default() });
        settings.ecus[0].frames = frames;
        let data: Vec<u8> = (0..90).collect();
        ecu.set_did(0x0101, &data);
        ecu.raise(LEAN);
        let mut bench = Bench::new(settings, VirtualBusSettings::default(), vec![ecu]);
        bench.run(19);
        assert_eq!(bench.last(FaultList::Active).codes[0].code, "P0171-00");
        assert_eq!([&bench.answers[0].data()[3..], bench.answers[1].data()].concat(), data);
        assert!(bench.sent.len() > 10);
        for frame in &bench.sent {
            assert_eq!((frame.kind, frame.data().len()), (FrameKind::Fd, 8), "{frame:?}");
            assert_eq!(frame.is_rate_switched(), frames == EcuFrames::FdRateSwitched);
        }
        // A first frame of 62 bytes is followed by one with the other 31.
        let counts = bench.poller.counts();
        let flows = bench.sent.iter().filter(|frame| frame.data()[0] == 0x30).count();
        let long = bench.answers.len() / 2;
        assert!(flows >= long && long > 5, "{flows} {long}");
        assert_eq!((counts.failed, counts.silent, counts.testers), (0, 0, 0));
    }
}

#[test]
fn a_request_longer_than_a_classic_frame_is_one_frame_of_can_fd() {
    let (_, mut settings) = battery();
    settings.ecus[0].frames = EcuFrames::Fd;
    let mut ecu = Ecu::new("bms".to_owned(), settings.ecus[0].address, EcuFrames::Fd, Arc::from("vbus0"));
    ecu.client.ask(&[0x2E; 40], None, Timestamp(0)).unwrap();
    let frame = ecu.client.take_frame(Timestamp(0)).unwrap();
    assert_eq!((frame.kind, frame.data().len(), &frame.data()[..3]), (FrameKind::Fd, 48, &[0, 40, 0x2E][..]));
}

fn uds_read_dtcs() -> u8 {
    crate::uds::READ_DTCS
}

#[test]
fn codes_are_read_at_once_when_a_command_asks() {
    let mut bench = Bench::with_engine(PollSettings { obd_faults_every: None, ..settings() });
    assert_eq!(bench.poller.read_dtcs_now(), Err(PollRefusal::Asleep));
    bench.engine().raise(LEAN);
    bench.run(5);
    assert_eq!(bench.reports, []);
    bench.poller.read_dtcs_now().unwrap();
    bench.run(3);
    assert_eq!(bench.last(FaultList::Confirmed).codes[0].code, "P0171");
}

#[test]
fn a_control_unit_of_uds_tells_every_code_it_can_set_and_none_becomes_a_fault() {
    let (mut ecu, settings) = battery();
    ecu.raise(LEAN);
    ecu.heal(LEAN);
    let settings =
        PollSettings { ecus: vec![EcuPoll { faults_every: None, ..settings.ecus[0].clone() }], ..settings };
    let mut bench = Bench::new(settings, VirtualBusSettings::default(), vec![ecu]);
    bench.run(5);
    bench.poller.read_supported_dtcs().unwrap();
    assert!(bench.poller.is_reading_supported_dtcs());
    bench.run(3);
    assert!(!bench.poller.is_reading_supported_dtcs());
    let supported = bench.poller.take_supported_dtcs();
    assert_eq!((supported.len(), supported[0].list), (1, FaultList::Supported));
    assert_eq!(supported[0].codes[0].code, "P0171-00");
    assert_eq!(bench.reports, []);
    // OBD has no such service.
    let mut bench = Bench::with_engine(PollSettings { obd_faults_every: None, ..self::settings() });
    bench.run(5);
    assert_eq!(bench.poller.read_supported_dtcs(), Err(PollRefusal::NoControlUnit));
}

#[test]
fn polling_stays_under_its_share_of_the_bus_over_an_hour() {
    // Far more is wanted than fits: two values every 50 ms on half a percent of 250 kbit/s.
    let period = Duration::from_millis(50);
    let pids = [0x0C, 0x0D, 0x05].map(|pid| PidPoll { pid, period }).to_vec();
    let settings = PollSettings { pids, bitrate: 250_000, bus_share_max: 0.005, ..settings() };
    let mut bench = Bench::with_engine(settings);
    bench.engine().raise(LEAN);
    let seconds = 3600;
    bench.run_by(seconds * SECOND, 20 * MS);
    let share = bench.poller.counts().bits as f64 / (250_000.0 * seconds as f64);
    assert!(share <= 0.005, "{share}");
    // And it uses what it has.
    assert!(share > 0.0045, "{share}");
    // Nobody is left out.
    let fewest = [0x0C, 0x0D, 0x05].map(|pid| bench.answers_of(pid)).into_iter().min().unwrap();
    assert!(fewest > 4000, "{fewest}");
    // What it counts is what was on the bus: its requests, and their answers of 135 bits each.
    let sent: u64 = bench.sent.iter().map(|f| u64::from(bits_of(f))).sum();
    assert!(bench.poller.counts().bits > sent);
}

#[test]
fn with_the_ignition_off_or_the_bus_quiet_it_is_silent() {
    let mut bench = Bench::with_engine(settings());
    bench.has_traffic = false;
    bench.run(20);
    assert_eq!(bench.sent, []);
    bench.has_traffic = true;
    bench.run(5);
    assert!(bench.sent.len() > 20);
    // Quiet for longer than `quiet_after`, though the engine's control unit would answer.
    bench.has_traffic = false;
    bench.run(6);
    bench.sent.clear();
    bench.run(60);
    assert_eq!((bench.sent.len(), bench.poller.is_awake()), (0, false));
    bench.has_traffic = true;
    bench.run(3);
    assert!(bench.sent.len() > 10);
    // The ignition's own signal counts for more than traffic.
    bench.poller.set_ignition(false);
    bench.run(1);
    bench.sent.clear();
    bench.run(60);
    assert_eq!(bench.sent, []);
    bench.poller.set_ignition(true);
    bench.run(3);
    assert!(bench.sent.len() > 10);
}

#[test]
fn another_tester_is_given_way_and_its_answers_are_left_alone() {
    let mut bench = Bench::with_engine(settings());
    bench.run(3);
    bench.engine().set_did(0xF190, &[b'X'; 17]);
    bench.sent.clear();
    bench.say(0x7E0, &[0x03, 0x22, 0xF1, 0x90, 0, 0, 0, 0]);
    bench.run(9);
    // Not even a flow control for the long answer to the other.
    assert_eq!(bench.sent, []);
    assert_eq!(bench.poller.counts().testers, 1);
    bench.run(5);
    assert!(bench.sent.len() > 10);
}

#[test]
fn frames_the_interface_gives_back_are_no_other_tester() {
    let mut poller = Poller::new(settings()).unwrap();
    let traffic = FrameId { raw: 0x100, is_extended: false };
    let mut sent = 0;
    for i in 1..200 {
        let now = Timestamp(i * 50 * MS);
        let frame = Frame::new(now, Arc::from("vbus0"), traffic, FrameKind::Data, &[1]).unwrap();
        poller.observe(&frame);
        poller.tick(now);
        for frame in poller.take_outgoing() {
            poller.observe(&frame);
            sent += 1;
        }
    }
    assert!(sent > 0);
    assert_eq!(poller.counts().testers, 0);
}

#[test]
fn a_control_unit_that_went_away_is_left_alone_for_longer_and_longer() {
    let mut bench = Bench::with_engine(settings());
    bench.run(5);
    bench.engine().set_on(false);
    bench.run(60);
    bench.sent.clear();
    bench.run(300);
    assert!((1..40).contains(&bench.sent.len()), "{}", bench.sent.len());
    bench.engine().set_on(true);
    bench.run(300);
    let before = bench.answers_of(0x0C);
    bench.run(10);
    assert!(bench.answers_of(0x0C) > before + 40);
}

#[test]
fn a_service_that_is_refused_for_good_is_not_asked_again() {
    let mut bench = Bench::with_engine(settings());
    bench.run(2);
    bench.engine().refuse(0x01, Some(NegativeCode(0x11)));
    bench.run(5);
    bench.sent.clear();
    bench.run(10);
    let asked = bench.sent.iter().filter(|f| f.data()[1] == 0x01).count();
    assert_eq!(asked, 0);
    assert!(bench.poller.counts().negative >= 3);
}

#[test]
fn a_lossy_and_slow_bus_loses_answers_but_no_session() {
    let flaws = VirtualBusSettings {
        loss: 0.05,
        delay_max: Duration::from_millis(20),
        seed: 7,
        ..VirtualBusSettings::default()
    };
    let mut bench = Bench::new(settings(), flaws, vec![engine(), gearbox()]);
    bench.engine().raise(LEAN);
    bench.run(300);
    let counts = bench.poller.counts();
    assert!(bench.bus.counts().lost > 50 && counts.silent + counts.failed > 20, "{counts:?}");
    assert!(bench.answers_of(0x0C) > 900, "{}", bench.answers_of(0x0C));
    let confirmed = bench.last(FaultList::Confirmed);
    assert!(confirmed.time.0 > 200 * SECOND);
    let wrong = bench.reports.iter().flat_map(|r| &r.codes).find(|code| code.code != "P0171");
    assert_eq!(wrong, None);
}

#[test]
fn an_identity_that_was_lost_on_the_way_is_asked_again() {
    for seed in 1..=5 {
        let flaws = VirtualBusSettings { loss: 0.15, seed, ..VirtualBusSettings::default() };
        let mut bench = Bench::new(settings(), flaws, vec![engine()]);
        let mut told = Vec::new();
        for _ in 0..60 {
            bench.run(5);
            told.extend(bench.poller.take_identities().into_iter().map(|i| i.info_type));
        }
        told.sort_unstable();
        assert_eq!(told, [obd::INFO_VIN, obd::INFO_CALIBRATION, obd::INFO_ECU_NAME], "seed {seed}");
    }
}

#[test]
fn a_control_unit_that_takes_requests_to_all_only_is_asked_so() {
    let id = |raw| FrameId { raw, is_extended: false };
    let mut settings_of_ecu = EcuSettings::engine(Arc::from("vbus0"));
    // Its own requests never reach it.
    settings_of_ecu.address = Address::normal(id(0x7E8), id(0x600));
    let mut ecu = SimulatedEcu::new(settings_of_ecu);
    ecu.set_pid(0x0C, &[1, 2]);
    let mut bench = Bench::new(settings(), VirtualBusSettings::default(), vec![ecu]);
    bench.run(30);
    assert!(bench.answers_of(0x0C) > 50, "{}", bench.answers_of(0x0C));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_frames_whatever_make_a_poller_panic_or_hoard(
        frames in prop::collection::vec(
            (prop::sample::select(vec![0x100_u32, 0x7DF, 0x7E0, 0x7E8, 0x7E9, 0x7EC, 0x7EF]),
             prop::collection::vec(any::<u8>(), 0..=8), 0_i64..400_000),
            0..300,
        ),
    ) {
        let (_, settings) = battery();
        let settings = PollSettings { pids: vec![PidPoll { pid: 0x0C, period: Duration::from_millis(50) }],
            obd_faults_every: Some(Duration::from_secs(1)), tester_pause: Duration::from_secs(1), ..settings };
        let mut poller = Poller::new(settings).unwrap();
        let mut now = 0;
        for (raw, data, wait_us) in frames {
            now += wait_us;
            let id = FrameId { raw, is_extended: false };
            let frame = Frame::new(Timestamp(now), Arc::from("vbus0"), id, FrameKind::Data, &data).unwrap();
            poller.observe(&frame);
            poller.tick(Timestamp(now));
            prop_assert!(poller.take_outgoing().len() <= TAKEN_MAX);
        }
        prop_assert!(poller.ecus.len() <= EXCHANGES_MAX);
    }
}

#[test]
fn the_worst_frames_bits_are_those_of_the_formula() {
    assert_eq!(frame_bits(false, 8), 135);
    assert_eq!(frame_bits(true, 8), 160);
    assert_eq!(frame_bits(false, 0), 55);
    // Own bits and data, stuff bits, count and checksum, end.
    assert_eq!(fd_frame_bits(false, 8), 22 + 64 + 21 + 27 + 13);
    assert_eq!(fd_frame_bits(false, 64), 22 + 512 + 133 + 32 + 13);
    assert_eq!(fd_frame_bits(true, 64), 41 + 512 + 138 + 32 + 13);
    let id = FrameId { raw: 0x7E0, is_extended: false };
    let of = |kind| share::bits_of(&Frame::new(Timestamp(0), Arc::from("vbus0"), id, kind, &[0; 8]).unwrap());
    assert_eq!((of(FrameKind::Data), of(FrameKind::Fd)), (135, 147));
}

#[test]
fn a_faulty_section_is_told_whole_and_a_disabled_one_polls_nothing() {
    let text = r#"
        enabled = true
        bus_share_max = 0.9
        [[obd]]
        pids = [0x0C, 0x0C, 0xFE]
        period = "1s"
        [[ecu]]
        name = "bms"
        request_id = 0x7E4
        response_id = 0x7EC
        session = 2
        fd_rate_switch = true
        [[did]]
        ecu = "bms"
        did = 0x0101
        frame_id = 0x1FFFF100
        period = "1s"
        [[did]]
        ecu = "abs"
        did = 0x0101
        frame_id = 0x1FFFF120
        period = "1s"
    "#;
    let config: config::PollConfig = toml::from_str(text).unwrap();
    let mut faults = service::config::Faults::of("test");
    assert!(config::check(&mut faults, &config, "truck-1").is_some());
    let message = faults.finish(Some(())).unwrap_err().to_string();
    for part in
        ["bus_share_max", "0x0C twice", "0xFE", "ecu.session", "needs `fd = true`", "did.frame_id", "\"abs\""]
    {
        assert!(message.contains(part), "{part} in {message}");
    }
    let mut faults = service::config::Faults::of("test");
    assert_eq!(config::check(&mut faults, &config::PollConfig::default(), "truck-1"), None);
    faults.finish(Some(())).unwrap();
}

#[test]
fn a_simulated_vehicle_answers_by_its_own_speed() {
    use crate::simulate::{Powertrain, SimulateSettings, Simulator};
    let start_time = Timestamp(1_760_000_000_000_000);
    let mut simulator = Simulator::new(
        &SimulateSettings {
            track: crate::simulate::tracks()[1].clone(),
            powertrain: Powertrain::Combustion,
            seed: 3,
            start_time,
            speed: 1.0,
            until: Some(start_time.plus_us(60 * 60 * SECOND)),
        },
        None,
    )
    .unwrap();
    assert!(simulator.bus_writer("can0").is_none());
    let mut writer = simulator.bus_writer("sim0").unwrap();
    let mut poller = Poller::new(PollSettings { interface: Arc::from("sim0"), ..settings() }).unwrap();
    let (mut compared, mut last, mut reports) = (0, Timestamp(0), 0);
    while let Some(frame) = simulator.next().unwrap() {
        assert!(frame.time >= last, "frames come in order of time");
        last = frame.time;
        let is_on = simulator.vehicle().is_ignition_on();
        poller.set_ignition(is_on);
        poller.observe(&frame);
        poller.tick(frame.time);
        for request in poller.take_outgoing() {
            assert!(is_on);
            writer.send(&request).unwrap();
        }
        for answer in poller.take_answers() {
            if answer.data()[1] == 0x0D {
                let kmh = simulator.vehicle().speed_mps * 3.6;
                // Between question and answer a step of the vehicle may pass.
                assert!((f64::from(answer.data()[2]) - kmh).abs() < 3.0, "{kmh} {:?}", answer.data());
                compared += 1;
            }
        }
        reports += poller.take_fault_reports().len();
    }
    assert!(compared > 3000 && reports > 10, "{compared} {reports}");
    assert_eq!((poller.counts().failed, poller.counts().testers), (0, 0));
}
