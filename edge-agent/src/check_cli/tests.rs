//! The table of `check`, on units that are well and units that are not.

use std::fs;

use super::*;
use service::clock::ManualClock;

fn verdict_of(checks: &[Check], subject: &str) -> Option<(Verdict, String)> {
    checks
        .iter()
        .filter(|c| c.subject == subject)
        .max_by_key(|c| c.verdict)
        .map(|c| (c.verdict, c.finding.clone()))
}

fn arguments(folder: &std::path::Path, more: &str) -> CheckArgs {
    let config = folder.join("agent.toml");
    let text = format!(
        "version = 1\nvehicle_id = \"sim-1\"\nspool_folder = \"{}\"\n[source]\nkind = \"simulate\"\n{more}",
        folder.join("spool").display()
    );
    fs::write(&config, text).unwrap();
    CheckArgs { config, interface: Vec::new(), offline: true }
}

fn clock_at(time: &str) -> SharedClock {
    ManualClock::at(Timestamp::parse(time).unwrap().0)
}

#[test]
fn a_good_unit_has_no_failure_and_a_table_that_lines_up() {
    let folder = tempfile::tempdir().unwrap();
    let (checks, is_configured) = run(&arguments(folder.path(), ""), &clock_at("2026-06-01T00:00:00Z"));
    assert!(is_configured);
    assert!(checks.iter().all(|c| c.verdict < Verdict::Fail), "{}", table(&checks));
    let text = table(&checks);
    let column = |line: &str| line.find("DBC").or_else(|| line.find("agent.toml"));
    assert!(text.lines().any(|l| l.starts_with("ok    dbc and maps  1 DBC files")), "{text}");
    assert!(text.lines().filter_map(column).count() >= 2);
    // It leaves no trace but the folder an agent would make.
    let left: Vec<_> = fs::read_dir(folder.path().join("spool")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn every_fault_of_the_configuration_is_a_row_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let args = arguments(folder.path(), "speed = \"fast\"\n[uplink]\nbroker = \"nowhere\"\n");
    let (checks, is_configured) = run(&args, &clock_at("2026-06-01T00:00:00Z"));
    assert!(!is_configured);
    let faults: Vec<_> = checks.iter().filter(|c| c.verdict == Verdict::Fail).collect();
    assert_eq!(faults.len(), 2);
    assert!(faults.iter().all(|c| c.subject == "config" && c.remedy.contains("agent.toml")));
}

#[test]
fn a_clock_before_the_release_fails() {
    let check = probes::clock(Timestamp(0));
    assert_eq!(check.verdict, Verdict::Fail);
    assert!(check.finding.contains("1970"), "{}", check.finding);
}

#[test]
fn an_interface_is_looked_at_by_type_flags_and_traffic() {
    let net = tempfile::tempdir().unwrap();
    let make = |name: &str, kind: &str, flags: &str, received: &str| {
        let folder = net.path().join(name);
        fs::create_dir_all(folder.join("statistics")).unwrap();
        for (file, text) in [
            ("type", kind),
            ("flags", flags),
            ("mtu", "72\n"),
            ("statistics/rx_packets", received),
            ("statistics/rx_errors", "0\n"),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
    };
    make("can0", "280\n", "0x40081\n", "1207\n");
    make("can1", "280\n", "0x40080\n", "0\n");
    make("can2", "280\n", "0x40081\n", "0\n");
    make("eth0", "1\n", "0x1003\n", "5\n");
    let verdict = |name: &str| probes::interface(name, net.path()).verdict;
    assert_eq!(verdict("can0"), Verdict::Ok);
    assert!(probes::interface("can0", net.path()).finding.contains("CAN FD, 1207 frames"));
    assert_eq!((verdict("can1"), verdict("can2")), (Verdict::Fail, Verdict::Warn));
    assert_eq!(
        (verdict("eth0"), verdict("can9"), verdict("../x")),
        (Verdict::Fail, Verdict::Fail, Verdict::Fail)
    );
}

#[test]
fn polling_in_can_fd_needs_an_interface_of_it() {
    let net = tempfile::tempdir().unwrap();
    for (name, mtu) in [("can0", "72\n"), ("can1", "16\n")] {
        fs::create_dir_all(net.path().join(name)).unwrap();
        fs::write(net.path().join(name).join("mtu"), mtu).unwrap();
    }
    let polled = |interface: &str, fd: bool| {
        let text = format!(
            "enabled = true\ninterface = \"{interface}\"\n[[ecu]]\nname = \"bms\"\n\
             request_id = 0x7E4\nresponse_id = 0x7EC\nfd = {fd}\n"
        );
        let mut faults = service::config::Faults::of("test");
        let poll = crate::poll::config::check(&mut faults, &toml::from_str(&text).unwrap(), "car-1").unwrap();
        probes::polled_in_fd(&poll, net.path())
    };
    assert_eq!(polled("can0", true).unwrap().verdict, Verdict::Ok);
    let refused = polled("can1", true).unwrap();
    assert_eq!(refused.verdict, Verdict::Fail);
    assert!(refused.finding.contains("can1 is of classic CAN, but bms"), "{}", refused.finding);
    assert_eq!(polled("can1", false), None);
    assert_eq!(polled("can2", true), None);
}

#[test]
fn a_certificate_of_another_vehicle_or_past_its_end_fails() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "sim-2");
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 3, 1);
    let certificate = params.self_signed(&key).unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("cert.pem"), certificate.pem()).unwrap();
    fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let tls = |key: &str| {
        format!(
            "[uplink]\nca_file = \"{0}\"\ncert_file = \"{0}\"\nkey_file = \"{1}\"\n",
            path("cert.pem").display(),
            path(key).display()
        )
    };
    let (checks, _) = run(&arguments(folder.path(), &tls("key.pem")), &clock_at("2026-02-20T00:00:00Z"));
    assert_eq!(verdict_of(&checks, "broker CA").unwrap().0, Verdict::Warn);
    let (verdict, finding) = verdict_of(&checks, "certificate").unwrap();
    assert!(verdict == Verdict::Fail && finding.contains("sim-2, not to sim-1"), "{finding}");
    let (checks, _) = run(&arguments(folder.path(), &tls("key.pem")), &clock_at("2026-04-01T00:00:00Z"));
    assert!(verdict_of(&checks, "broker CA").unwrap().1.contains("expired at 2026-03-01"));

    fs::write(path("other.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let (checks, _) = run(&arguments(folder.path(), &tls("other.pem")), &clock_at("2026-02-01T00:00:00Z"));
    assert_eq!(verdict_of(&checks, "certificates").unwrap().0, Verdict::Fail);
}

#[test]
fn a_broker_that_is_not_there_fails_with_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut args = arguments(folder.path(), &format!("[uplink]\nbroker = \"{address}\"\n"));
    args.offline = false;
    let (checks, _) = run(&args, &clock_at("2026-06-01T00:00:00Z"));
    let (verdict, finding) = verdict_of(&checks, "broker tcp").unwrap();
    assert!(verdict == Verdict::Fail && finding.contains(&address.to_string()), "{finding}");
}

#[test]
fn a_local_campaign_set_is_compiled_for_the_vehicle() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.toml");
    let named = format!("[campaigns]\nfile = \"{}\"\n", file.display());
    let check = |signal: &str| {
        let set = format!(
            "version = 1\nid = \"fleet\"\nrevision = 1\n[[campaign]]\nname = \"speed\"\n\
             [[campaign.collect]]\nsignals = [\"{signal}\"]\ntake = \"every\"\ninterval = \"1s\"\n"
        );
        fs::write(&file, set).unwrap();
        let (checks, _) = run(&arguments(folder.path(), &named), &clock_at("2026-06-01T00:00:00Z"));
        verdict_of(&checks, "campaigns").unwrap()
    };
    let (verdict, finding) = check("Vehicle.Speed");
    assert!(verdict == Verdict::Ok && finding.ends_with("..., speed"), "{finding}");
    let (verdict, finding) = check("Vehicle.Sped");
    assert!(verdict == Verdict::Fail && finding.contains("Vehicle.Sped"), "{finding}");
    fs::remove_file(&file).unwrap();
    let (checks, _) = run(&arguments(folder.path(), &named), &clock_at("2026-06-01T00:00:00Z"));
    let (verdict, finding) = verdict_of(&checks, "campaigns").unwrap();
    assert!(verdict == Verdict::Fail && finding.contains("set.toml"), "{finding}");
}

#[test]
fn the_interfaces_of_the_configuration_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut args = arguments(folder.path(), "");
    let dbc = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/css-car-obd-gnss");
    let text = format!(
        "version = 1\nvehicle_id = \"car-1\"\nspool_folder = \"{}\"\ndbc_files = [\"{}\"]\n\
         map_files = [\"{}\"]\n[source]\nkind = \"socketcan\"\ninterfaces = [\"nocan7\"]\n",
        folder.path().join("spool").display(),
        dbc.join("canmod-gps.dbc").display(),
        dbc.join("../../../configs/maps/css-car-obd-gnss.toml").display()
    );
    fs::write(&args.config, text).unwrap();
    let missing = |args: &CheckArgs| {
        let (checks, _) = run(args, &clock_at("2026-06-01T00:00:00Z"));
        checks.iter().filter(|c| c.finding.contains("nocan7 is not there")).count()
    };
    assert_eq!(missing(&args), 1);
    // Named twice it is looked at once.
    args.interface = vec!["nocan7".to_owned()];
    assert_eq!(missing(&args), 1);
}
