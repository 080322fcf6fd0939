#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use proptest::prelude::*;
use service::clock::ManualClock;

use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn source(root: &Path) -> UnitSource {
    let mut source = UnitSource::new(Duration::from_secs(10), root, ManualClock::at(1)).unwrap();
    root.clone_into(&mut source.root);
    source
}

#[test]
fn what_proc_and_sys_tell_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3\n");
    write(root, "proc/loadavg", "0.52 0.58 0.59 1/467 12345\n");
    write(root, "proc/meminfo", "MemTotal:     1000 kB\nMemFree: 100 kB\nMemAvailable:   250 kB\n");
    write(root, "proc/self/status", "Name:\tedge-agent\nVmRSS:\t   20480 kB\n");
    write(root, "proc/uptime", "3600.25 100.00\n");
    write(
        root,
        "proc/net/dev",
        "Inter-| Receive | Transmit\n face |bytes packets\n    lo: 999 1 0 0 0 0 0 0 999 1\n  \
         eth0: 2048 1 0 0 0 0 0 0 4096 2 0 0 0 0 0 0\n can0: 77 1 0 0 0 0 0 0 77 1\n",
    );
    write(root, "sys/class/thermal/thermal_zone0/type", "battery\n");
    write(root, "sys/class/thermal/thermal_zone0/temp", "80000\n");
    write(root, "sys/class/thermal/thermal_zone1/type", "cpu-thermal\n");
    write(root, "sys/class/thermal/thermal_zone1/temp", "45500\n");
    write(
        root,
        "proc/net/wireless",
        "Inter-| sta-|\n face | tus |\nwwan0: 0000   60.  -71.  -256 0 0 0 0 0 0\n",
    );
    let mut unit = source(root);
    let first = unit.look();
    assert_eq!(first.cpu_percent, None);
    write(root, "proc/stat", "cpu  175 0 125 750 150 0 0 0 0 0\n");
    let state = unit.look();
    assert_eq!(state.cpu_percent, Some(50.0));
    assert_eq!((state.memory_percent, state.load_average), (Some(75.0), Some(0.52)));
    assert_eq!((state.agent_memory_mib, state.uptime_s), (Some(20.0), Some(3600.25)));
    assert_eq!((state.temperature_celsius, state.signal_dbm), (Some(45.5), Some(-71.0)));
    assert_eq!(state.traffic, Some(Traffic { received_bytes: 2048.0, sent_bytes: 4096.0 }));
    assert!(state.disk_free_mib.is_some_and(|mib| mib > 0.0));
}

#[test]
fn what_a_machine_does_not_tell_is_absent_and_flagged_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut unit = source(folder.path());
    unit.spool_folder = folder.path().join("not/there");
    let state = unit.look();
    assert_eq!(state, UnitState::default());
    for (message, values) in values_of(&state) {
        assert!(values.iter().all(|(_, value)| *value == 0.0), "{message}");
        assert!(unit.frames.frame(Timestamp(0), message, &values).unwrap().is_some());
    }
}

#[test]
fn a_full_state_makes_frames_of_the_units_block_and_maps_to_vss() {
    use crate::{
        dbc::Dbc,
        decode::Decoder,
        map::{MappedDecoder, SignalMap},
        source::own,
    };
    let (dbc, map) = (own::dbc(), own::unit_map());
    let decoder = Decoder::compile(&[Dbc::from_bytes(&dbc.name, &dbc.bytes).unwrap()]).unwrap();
    let map = SignalMap::parse(&map.name, std::str::from_utf8(&map.bytes).unwrap()).unwrap();
    let mut decoder = MappedDecoder::new(decoder, &[map]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let state = UnitState {
        cpu_percent: Some(12.5),
        load_average: Some(1.5),
        memory_percent: Some(40.0),
        agent_memory_mib: Some(20.0),
        disk_free_mib: Some(9000.0),
        temperature_celsius: Some(-5.0),
        signal_dbm: Some(-90.0),
        uptime_s: Some(60.0),
        traffic: Some(Traffic { received_bytes: 5000.0 * KIB, sent_bytes: 5e12 * KIB }),
    };
    let unit = source(folder.path());
    let mut samples = Vec::new();
    for (message, values) in values_of(&state) {
        let frame = unit.frames.frame(Timestamp(0), message, &values).unwrap().unwrap();
        assert!(frame.id.is_own());
        decoder.samples(&frame, &mut samples);
    }
    assert_eq!(samples.len(), decoder.columns().len());
}

proptest! {
    #[test]
    fn any_text_is_read_or_passed_over(text in "(cpu |MemTotal:|eth0:|VmRSS:)?[ -~\n]{0,200}") {
        parse::cpu_times(&text);
        parse::memory_percent(&text);
        parse::resident_mib(&text);
        parse::traffic(&text);
        parse::wireless_dbm(&text);
        parse::first_number(&text);
    }
}
