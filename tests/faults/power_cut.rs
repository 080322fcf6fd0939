//! The server's power is cut: what of the lake is on its disk, and no more, is what the next ingest finds.
//!
//! The disk is an ext4 of its own in a file, by a loop device. What the file holds at an instant is what
//! the kernel has written through to the disk, so a copy of it is the disk after a cut at that instant.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    content::content,
    disk_full::{copy, seen_from_here},
    fleet::Fleet,
    mosquitto::Mosquitto,
    programs::{Program, built},
};

const DISK_BYTES: u64 = 128 << 20;
const CUTS: u64 = 6;
/// Written to the disk before each cut, and not synced.
const UNSYNCED: &str = "unsynced";

/// An empty file system in a file.
fn new_disk(image: &Path) {
    fs::File::create(image).unwrap().set_len(DISK_BYTES).unwrap();
    // `mkfs` is not in every user's path.
    let made = Command::new("/sbin/mkfs.ext4")
        .args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-J", "size=8"])
        .arg(image)
        .status();
    assert!(made.unwrap().success(), "mkfs.ext4");
}

/// An ingest that alone sees the disk, mounted at `folder`. The kernel writes nothing through by itself within
/// the time of this test, only what is asked for.
fn ingest_on(image: &Path, folder: &Path, said: &Path, broker: &Mosquitto) -> Program {
    fs::create_dir_all(folder).unwrap();
    let mut command = Command::new("unshare");
    let script = r#"mount -o loop,commit=900 "$0" "$1" && cd / && exec "$2""#;
    command.args(["--mount", "sh", "-c", script]).arg(image).arg(folder).arg(built("ingest"));
    Program::ingest_by(command, said, &folder.join("lake"), broker.address(), (0, 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_of_the_server_takes_nothing_that_was_acknowledged() {
    let may_mount = Command::new("unshare").args(["--mount", "losetup", "--find"]).output();
    assert!(
        may_mount.is_ok_and(|found| found.status.success()),
        "this test mounts a file by a loop device, which takes root: run it as root, or the others by `--skip power_cut`"
    );
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let at = |name: &str, cut: u64| -> PathBuf { data.path().join(format!("{name}-{cut}")) };
    new_disk(&at("image", 0));
    let mut ingest = ingest_on(&at("image", 0), &at("disk", 0), data.path(), &broker).claimed().await;
    let agents = fleet.drive(data.path(), broker.address(), Duration::from_secs(12)).await;

    for cut in 1..=CUTS {
        let seen = seen_from_here(&ingest, &at("disk", cut - 1));
        assert!(
            seen.join("lake").is_dir() && !at("disk", cut - 1).join("lake").exists(),
            "it is on another disk"
        );
        let left = seen.join(UNSYNCED);
        assert!(fs::read(&left).unwrap_or_default().is_empty(), "the disk kept what nobody had synced");
        agents.until_acked(agents.acked() + 30).await;
        fs::write(&left, [1; 4096]).unwrap();
        // From here to the kill it writes nothing: the copy is of one instant.
        ingest.hold();
        assert_eq!(fs::read(&left).unwrap().len(), 4096);
        fs::copy(at("image", cut - 1), at("image", cut)).unwrap();
        ingest.kill();
        fs::remove_file(at("image", cut - 1)).unwrap();
        ingest = ingest_on(&at("image", cut), &at("disk", cut), data.path(), &broker).claimed().await;
    }
    agents.drained().await;
    agents.stop().await;
    ingest.assert_running();
    let copied = data.path().join("copied");
    copy(&seen_from_here(&ingest, &at("disk", CUTS)).join("lake"), &copied);
    drop(ingest);
    assert_eq!(&content(&copied).await, expected);
}
