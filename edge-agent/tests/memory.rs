//! A flooded agent stays small: the whole process, by the kernel's own account.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
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

#[test]
fn a_flooded_agent_without_a_broker_stays_under_its_memory_cap() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("agent.toml");
    // Nobody listens on port 1, so everything collected has to wait on the disk.
    let text = format!(
        "version = 1\nvehicle_id = \"flood-1\"\nspool_folder = \"{}\"\n\
         [source]\nkind = \"simulate\"\nspeed = \"1000000\"\nstart_time = \"2020-01-01T00:00:00Z\"\n\
         [uplink]\nbroker = \"127.0.0.1:1\"\n[unit]\nlisten = \"127.0.0.1:0\"\n",
        folder.path().join("spool").display()
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
    let address: SocketAddr = log
        .find_map(|line| line.unwrap().split_once("address=")?.1.split_whitespace().next()?.parse().ok())
        .expect("it says where it answers");
    // The pipe must not fill up.
    std::thread::spawn(move || log.for_each(drop));
    let frames = loop {
        let frames = top_cli::fetch(address).expect("it runs on").counts.frames;
        if frames >= FRAMES {
            break frames;
        }
    };
    let (now, most) = (kib(child.0.id(), "VmRSS:"), kib(child.0.id(), "VmHWM:"));
    println!("{frames} frames: {now} KiB resident, {most} KiB at most");
    assert!(most < RSS_KIB_MAX, "{most} KiB resident at most");
}
