//! A flooded agent stays small: the whole process, by the kernel's own account.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader, BufWriter, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use edge_agent::top_cli;

/// What the agent may hold with its default bounds, of which a batch a lane and the index of the
/// spool's records are the most.
const RSS_KIB_MAX: u64 = 48 * 1024;
/// Far more than any queue between the bus and the disk holds.
const FRAMES: u64 = 1_500_000;

/// Ends the child whatever becomes of the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A field of `/proc/PID/status`, in KiB.
fn kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs an agent that no broker takes anything from, until it has read so many frames; its greatest
/// resident size in KiB. `more` are tables of its configuration.
fn peak_kib(folder: &Path, frames: u64, source: &str, more: &str) -> u64 {
    let config = folder.join("agent.toml");
    // Nobody listens on port 1, so everything collected has to wait on the disk.
    let text = format!(
        "version = 1\nvehicle_id = \"flood-1\"\nspool_folder = \"{}\"\n{source}\n\
         [uplink]\nbroker = \"127.0.0.1:1\"\n[unit]\nlisten = \"127.0.0.1:0\"\n{more}\n",
        folder.join("spool").display()
    );
    fs::write(&config, text).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_edge-agent"))
        .args(["run", "--config"])
        .arg(&config)
        .env_remove("ROADLAKE_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Ended(child);
    let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let address: SocketAddr = log
        .find_map(|line| {
            let line = line.unwrap();
            said += &line;
            line.split_once("address=")?.1.split_whitespace().next()?.parse().ok()
        })
        .unwrap_or_else(|| panic!("it does not say where it answers: {said}"));
    // The pipe must not fill up.
    std::thread::spawn(move || log.for_each(drop));
    while top_cli::fetch(address).expect("it runs on").counts.frames < frames {}
    let (now, most) = (kib(child.0.id(), "VmRSS:"), kib(child.0.id(), "VmHWM:"));
    println!("{frames} frames: {now} KiB resident, {most} KiB at most");
    most
}

/// A simulated vehicle, as fast as the machine goes.
const SIMULATED: &str =
    "[source]\nkind = \"simulate\"\nspeed = \"1000000\"\nstart_time = \"2020-01-01T00:00:00Z\"";

#[test]
fn a_flooded_agent_without_a_broker_stays_under_its_memory_cap() {
    let folder = tempfile::tempdir().unwrap();
    let most = peak_kib(folder.path(), FRAMES, SIMULATED, "");
    assert!(most < RSS_KIB_MAX, "{most} KiB resident at most");
}

/// A log of a real car's files, replayed so many times as fast as recorded.
fn replayed(log: &Path, speed: u32) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().display();
    format!(
        "dbc_files = [\"{root}/tests/data/css-car-obd-gnss/OBD-v4.4.dbc\", \
         \"{root}/tests/data/css-car-obd-gnss/canmod-gps.dbc\"]\n\
         map_files = [\"{root}/configs/maps/css-car-obd-gnss.toml\"]\n\
         [source]\nkind = \"replay\"\nlog_file = \"{}\"\nspeed = \"{speed}\"",
        log.display()
    )
}

/// What came before a trigger that never comes: the ring fills up to what it may have.
#[test]
fn a_campaign_s_ring_takes_the_memory_it_may_have_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    // More speeds in the ten minutes before a trigger than the larger ring has room for.
    let (log, lines) = (folder.path().join("fast.log"), 600_000_u32);
    let mut out = BufWriter::new(fs::File::create(&log).unwrap());
    for i in 0..lines {
        let seconds = 1.6e9 + f64::from(i) * 400e-6;
        writeln!(out, "({seconds:.6}) can1 7E8#03410D{:02X}AAAAAAAA", i % 200).unwrap();
    }
    drop(out);
    let campaign = folder.path().join("never.toml");
    let set = "version = 1\nid = \"never\"\nrevision = 1\n[[campaign]]\nname = \"never\"\n\
               when = \"Vehicle.Speed > 900 km/h\"\nbefore = \"10min\"\n\
               [[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\ntake = \"all\"\n";
    fs::write(&campaign, set).unwrap();
    let peak = |ring_mib: u32| {
        let run = tempfile::tempdir().unwrap();
        let more =
            format!("[campaigns]\nfile = \"{}\"\nring_bytes_max = \"{ring_mib}MiB\"", campaign.display());
        peak_kib(run.path(), u64::from(lines) * 9 / 10, &replayed(&log, 60), &more)
    };
    let (small, large) = (peak(1), peak(13));
    // It is the ring that made the difference, by what it may have.
    assert!(large > small + 9 * 1024, "{small} KiB and {large} KiB");
    assert!(large < small + 16 * 1024, "{small} KiB and {large} KiB");
    assert!(small < RSS_KIB_MAX, "{small} KiB with a ring of 1 MiB");
}

/// More long messages begun at once, by broadcast and by connections, than are followed.
#[test]
fn long_messages_that_never_end_stay_under_the_cap() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("flood.log");
    let mut out = BufWriter::new(fs::File::create(&log).unwrap());
    let (rounds, units) = (40, 250_u32);
    let mut lines = 0_u32;
    for round in 1..=rounds {
        for unit in 0..units {
            let of_other = (unit ^ 1) << 8 | unit;
            // BAM of 1785 bytes, RTS of 1785, and an extended RTS of 16 MB, each with a packet.
            let begun = [
                (0x18EC_FF00 | unit, "20F906FFFFCAFE00".to_owned()),
                (0x18EB_FF00 | unit, "01DEADBEEFDEADBE".to_owned()),
                (0x18EC_0000 | of_other, "10F906FFFFCAFE00".to_owned()),
                (0x18EB_0000 | of_other, format!("{round:02X}DEADBEEFDEADBE")),
                (0x18C8_0000 | of_other, "140000FF00CAFE00".to_owned()),
                (0x18C7_0000 | of_other, "01DEADBEEFDEADBE".to_owned()),
            ];
            for (id, data) in begun {
                lines += 1;
                let seconds = 1.6e9 + f64::from(lines) * 1e-3;
                writeln!(out, "({seconds:.6}) can0 {id:08X}#{data}").unwrap();
            }
        }
    }
    drop(out);
    let j1939 = "[j1939]\nlisten = \"always\"";
    let most = peak_kib(folder.path(), u64::from(lines) * 9 / 10, &replayed(&log, 20), j1939);
    assert!(most < RSS_KIB_MAX, "{most} KiB resident at most");
}
