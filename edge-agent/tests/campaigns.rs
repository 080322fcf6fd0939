//! The sample campaigns on real data, and the command that checks, tries and signs them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::{
    path::PathBuf,
    process::{Command, Output},
};

fn path(of_root: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(of_root)
}

fn campaign(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edge-agent")).arg("campaign").args(args).output().unwrap()
}

/// `campaign check` of a file against the real car, tried on its log.
fn on_the_real_car(file: &str) -> String {
    let args = [
        "check",
        file,
        "--dbc",
        path("tests/data/css-car-obd-gnss/OBD-v4.4.dbc").to_str().unwrap(),
        "--dbc",
        path("tests/data/css-car-obd-gnss/canmod-gps.dbc").to_str().unwrap(),
        "--map",
        path("configs/maps/css-car-obd-gnss.toml").to_str().unwrap(),
        "--log",
        path("tests/data/css-car-obd-gnss/00000164.candump.log.gz").to_str().unwrap(),
    ]
    .map(str::to_owned);
    let output = campaign(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The number before a word in the last line.
fn count(text: &str, word: &str) -> u64 {
    let before = text.lines().last().unwrap().split(word).next().unwrap();
    before.trim().rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{word} in {text}"))
}

#[test]
fn the_overheat_set_fires_on_the_real_car() {
    let text = on_the_real_car(path("configs/campaigns/overheat.toml").to_str().unwrap());
    assert!(text.contains("Vehicle.Speed#overheat"), "{text}");
    assert!(count(&text, "triggers") >= 1, "{text}");
    assert_eq!(count(&text, "cut short"), 0, "{text}");
    assert!(count(&text, "samples") > 100, "{text}");
}

#[test]
fn the_harsh_braking_set_is_silent_on_a_gentle_drive_and_fires_at_the_drivers_own_hardest() {
    let shipped = path("configs/campaigns/harsh-braking.toml");
    let text = on_the_real_car(shipped.to_str().unwrap());
    assert_eq!((count(&text, "triggers"), count(&text, "samples")), (0, 0), "{text}");
    // This driver never brakes by more than 3.5 m/s^2, but by 2 now and then.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.toml");
    let set = std::fs::read_to_string(shipped).unwrap();
    assert_eq!(set.matches("< -3.5 m/s^2").count(), 1);
    std::fs::write(&file, set.replace("< -3.5 m/s^2", "< -2.0 m/s^2")).unwrap();
    let text = on_the_real_car(file.to_str().unwrap());
    assert_eq!((count(&text, "triggers"), count(&text, "cut short")), (5, 0), "{text}");
    // Ten seconds of speed, position and acceleration around each.
    assert!(count(&text, "samples") > 5 * 300, "{text}");
}

#[test]
fn a_set_is_signed_and_checked_by_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = campaign(&["keygen", "--out", &file("a.key")]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(!campaign(&["keygen", "--out", &file("a.key")]).status.success(), "keys are not written over");
    assert!(campaign(&["keygen", "--out", &file("b.key")]).status.success());
    let set = path("configs/campaigns/overheat.toml");
    let signed = campaign(&["sign", set.to_str().unwrap(), "--key", &file("a.key")]);
    std::fs::write(file("set.signed"), &signed.stdout).unwrap();
    let check = |key: &str| {
        let car = ["OBD-v4.4.dbc", "canmod-gps.dbc"].map(|f| path("tests/data/css-car-obd-gnss").join(f));
        let map = path("configs/maps/css-car-obd-gnss.toml");
        let (dbc, gps) = (car[0].to_str().unwrap(), car[1].to_str().unwrap());
        let (set, key) = (file("set.signed"), file(key));
        let args = ["check", &set, "--dbc", dbc, "--dbc", gps, "--map", map.to_str().unwrap()];
        campaign(&[&args[..], &["--public-key", &key]].concat())
    };
    let good = check("a.key.pub");
    assert!(String::from_utf8_lossy(&good.stdout).contains("signature good"));
    let bad = check("b.key.pub");
    assert!(!bad.status.success() && String::from_utf8_lossy(&bad.stderr).contains("signature"));
}

/// A set over what the unit measures of itself: only an agent's configuration has such signals.
#[test]
fn signals_of_the_agent_s_own_are_known_by_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (set, config) = (folder.path().join("set.toml"), folder.path().join("agent.toml"));
    let own = std::fs::read_to_string(path("configs/maps/agent-unit.toml")).unwrap();
    let signal = own.lines().find_map(|line| line.strip_prefix("vss = \"")?.strip_suffix('"')).unwrap();
    let text = format!(
        "version = 1\nid = \"own\"\nrevision = 1\n\n[[campaign]]\nname = \"own\"\n[[campaign.collect]]\nsignals = [\"{signal}\"]\ntake = \"all\"\n"
    );
    std::fs::write(&set, text).unwrap();
    let (dbc, map) = (
        path("tests/data/css-car-obd-gnss/canmod-gps.dbc"),
        path("tests/data/css-car-obd-gnss/OBD-v4.4.dbc"),
    );
    let car = path("configs/maps/css-car-obd-gnss.toml");
    let text = format!(
        "version = 1\nvehicle_id = \"car-7\"\nspool_folder = {:?}\ndbc_files = [{dbc:?}, {map:?}]\nmap_files = [{car:?}]\n\
         [source]\nkind = \"socketcan\"\ninterfaces = [\"can0\"]\n[uplink]\nbroker = \"127.0.0.1:9\"\n",
        folder.path().join("spool")
    );
    std::fs::write(&config, text).unwrap();
    let set = set.to_str().unwrap();
    let with = campaign(&["check", set, "--config", config.to_str().unwrap()]);
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    assert!(String::from_utf8(with.stdout).unwrap().contains(signal));
    let (dbc, map, car) = (dbc.to_str().unwrap(), map.to_str().unwrap(), car.to_str().unwrap());
    let without = campaign(&["check", set, "--dbc", dbc, "--dbc", map, "--map", car]);
    assert_eq!(without.status.code(), Some(65));
    let neither = campaign(&["check", set]);
    assert!(!neither.status.success());
    let none = campaign(&["check", set, "--config", "no/such.toml"]);
    assert!(!none.status.success());
}
