//! A lake whose disk is full for a while: a file system of its own, small, in memory.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    content::content,
    fleet::{Agents, Fleet},
    mosquitto::Mosquitto,
    pipeline::within,
    programs::{Program, built},
};

const DISK_BYTES: u64 = 64 << 20;
/// How much more memory ingest may take while the lake refuses: its buffers are far smaller.
const GROWTH_BYTES_MAX: u64 = 96 << 20;
/// How long the disk is full once that was noticed.
const FULL: Duration = Duration::from_secs(3);

/// An ingest that alone sees a small disk mounted at `disk`.
fn ingest_on(disk: &Path, folder: &Path, broker: &Mosquitto) -> Program {
    let mut command = Command::new("unshare");
    // By a user namespace, so that no right of the machine is needed.
    let script = format!("mount -t tmpfs -o size={DISK_BYTES} tmpfs \"$0\" && cd / && exec \"$1\"");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(disk)
        .arg(built("ingest"));
    for (key, value) in
        [("BUFFER_BYTES_MAX", "256KiB"), ("FLUSH_BYTES", "64KiB"), ("INTAKE_QUEUE_LEN_MAX", "16")]
    {
        command.env(format!("ROADLAKE_INGEST__{key}"), value);
    }
    Program::ingest_by(command, folder, &disk.join("lake"), broker.address(), (0, 1))
}

/// The disk as it is reached from here.
pub(crate) fn seen_from_here(ingest: &Program, disk: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", ingest.id(), disk.display()))
}

/// Takes all the space that is left.
fn fill(file: &Path) {
    let mut ballast = File::create(file).unwrap();
    let mut block = vec![1_u8; 1 << 20];
    while !block.is_empty() {
        if ballast.write_all(&block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Nothing becomes durable for the vehicles while nothing can be committed.
async fn stands_still(agents: &Agents, ingest: &Program) -> (u64, u64) {
    let before = (agents.acked(), ingest.resident_bytes());
    tokio::time::sleep(FULL).await;
    assert_eq!(agents.acked(), before.0, "acknowledged with a full disk");
    (before.1, ingest.resident_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_acks_until_there_is_room_again() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let disk = data.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let may_mount = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    assert!(
        may_mount.is_ok_and(|status| status.success()),
        "this test needs a mount namespace of its own: `unshare --user --map-root-user --mount true` must work \
         (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
    );
    let mut ingest = ingest_on(&disk, data.path(), &broker);
    let agents = fleet.drive(data.path(), broker.address(), Duration::from_secs(8)).await;
    agents.until_acked(50).await;
    let seen = seen_from_here(&ingest, &disk);
    assert!(seen.join("lake").is_dir() && !disk.join("lake").exists(), "the lake is not on the small disk");

    for _ in 0..2 {
        let (before, refusals) = (agents.acked(), ingest.said().matches("commit refused").count());
        fill(&seen.join("ballast"));
        within("a refused commit", async {
            while ingest.said().matches("commit refused").count() == refusals {
                ingest.assert_running();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        // Acks of what was committed before are on their way.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (bytes_before, bytes_after) = stands_still(&agents, &ingest).await;
        assert!(bytes_after < bytes_before + GROWTH_BYTES_MAX, "from {bytes_before} to {bytes_after} bytes");
        fs::remove_file(seen.join("ballast")).unwrap();
        agents.until_acked(before.max(agents.acked()) + 20).await;
    }
    agents.drained().await;
    agents.stop().await;
    ingest.assert_running();
    let copied = data.path().join("copied");
    copy(&seen.join("lake"), &copied);
    drop(ingest);
    assert_eq!(&content(&copied).await, expected);
}
