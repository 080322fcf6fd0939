//! `edge-agent decode` as a person runs it: outputs and exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::{
    io::Read,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

fn data(path: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(path).display().to_string()
}

fn command(dbcs: &[&str], log: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-agent"));
    command.arg("decode");
    for dbc in dbcs {
        command.args(["--dbc", dbc]);
    }
    command.arg(log).args(["--format", "csv"]).args(more);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(dbcs: &[&str], log: &str, more: &[&str]) -> Output {
    command(dbcs, log, more).output().unwrap()
}

const CAR_LOG: &str = "css-car-obd-gnss/00000164.candump.log.gz";

fn car_dbcs() -> [String; 2] {
    [data("css-car-obd-gnss/OBD-v4.4.dbc"), data("css-car-obd-gnss/canmod-gps.dbc")]
}

#[test]
fn the_real_car_is_decoded_and_its_one_unknown_id_is_told() {
    let dbcs = car_dbcs();
    let dbcs = [dbcs[0].as_str(), dbcs[1].as_str()];
    let output = run(&dbcs, &data(CAR_LOG), &[]);
    let (out, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(out.lines().count(), 1_869_902);
    assert_eq!(out.lines().next().unwrap(), "timestamp,interface,frame_id,signal,raw,value,unit,label");
    assert_eq!(
        out.lines().nth(4).unwrap(),
        "1627274455.023950,can1,7E8,S01PID2F_FuelTankLevel,140,54.901960784313715,%,"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(".log.gz:1: id 17F00010 is in none of the DBC files (4780 frames)"), "{told}");
    assert_eq!(output.status.code(), Some(65));
    let lenient = run(&dbcs, &data(CAR_LOG), &["--lenient"]);
    assert_eq!(lenient.status.code(), Some(0));
    assert!(lenient.stdout == output.stdout);
}

#[test]
fn a_reader_that_closes_early_ends_it_quietly() {
    let dbcs = car_dbcs();
    let mut child = command(&[&dbcs[0], &dbcs[1]], &data(CAR_LOG), &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut head = [0_u8; 100];
    child.stdout.take().unwrap().read_exact(&mut head).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output.stderr).contains("panicked") && !text(&output.stderr).contains("write"));
}

#[test]
fn bad_input_exits_with_one_message_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let gps = data("css-car-obd-gnss/canmod-gps.dbc");
    let bad_dbc = file("bad.dbc", &std::fs::read_to_string(&gps).unwrap().replace("28@1+", "28@9+"));
    let bad_log = file("bad.log", "(1627274455.012500) can2 00#00\n");
    let good_log = file("good.log", "(1627274455.012500) can2 001#03\n");
    let copy = file("copy.dbc", &std::fs::read_to_string(&gps).unwrap());
    let cases: [(&[&str], &str, i32, &str); 8] = [
        (&[&bad_dbc], &good_log, 65, "bad.dbc:41: not valid DBC"),
        (&[&gps], &bad_log, 65, "bad.log:1: the id is neither"),
        (&[&gps, &copy], &good_log, 65, "copy.dbc:39: message gnss_pos has the id of"),
        (&["/nowhere/x.dbc"], &good_log, 66, "cannot read DBC file /nowhere/x.dbc"),
        (&[&gps], "/nowhere/x.log", 66, "cannot open log /nowhere/x.log"),
        (&[], &good_log, 2, "no DBC file is given"),
        (&[&gps], &gps, 2, "no log is given"),
        (&[&gps], &good_log, 0, ""),
    ];
    for (dbcs, log, code, want) in cases {
        let output = run(dbcs, log, &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(want), "{told}");
        assert!(want.is_empty() == told.is_empty(), "{told}");
    }
}

#[test]
fn long_messages_of_the_real_truck_are_decoded_when_asked_for() {
    let dbcs =
        [data("css-truck-j1939/CSS-Electronics-SAE-J1939-DEMO.dbc"), data("css-truck-j1939/tp_j1939.dbc")];
    let log = data("css-truck-j1939/11111111-00000012-00000001.candump.log.gz");
    let decode = |more: &[&str]| run(&[&dbcs[0], &dbcs[1]], &log, more);
    let (plain, long) = (decode(&["--lenient"]), decode(&["--lenient", "--j1939"]));
    let (plain, long) = (text(&plain.stdout), text(&long.stdout));
    let (of_long, rest): (Vec<&str>, Vec<&str>) =
        long.lines().partition(|line| line.contains("EngineSpeedAtPoint5"));
    assert_eq!(rest, plain.lines().collect::<Vec<_>>());
    // PGN 65251 (FEE3) from address 0; bytes 13 and 14 of 39 are 58 34.
    assert_eq!(of_long.len(), 25);
    assert_eq!(of_long[0], "1635188457.778950,can1,18FEE300,EngineSpeedAtPoint5,13400,1675.0,rpm,");
    // Frames of the protocol itself are no unknown ids.
    let told = text(&decode(&["--j1939"]).stderr);
    assert!(!told.contains("id 1CECFF00") && !told.contains("id 1CEBFF00"), "{told}");
}
