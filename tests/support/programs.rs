//! The workspace's programs as processes of their own.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, reason = "a failed test is the message")]

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nix::{sys::signal::Signal, unistd::Pid};

use crate::pipeline::{root, within};

/// A vehicle whose agent replays a log.
pub struct Replayed<'a> {
    pub id: &'a str,
    pub log: &'a Path,
    pub dbcs: &'a [&'a str],
    pub map: &'a str,
    pub speed: &'a str,
    pub batch_interval: &'a str,
}

/// A running program; killed when it is dropped.
pub struct Program {
    name: String,
    process: Child,
    stderr: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The path of a program built with this test.
pub fn built(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_roadlake")).with_file_name(name);
    assert!(path.is_file(), "{name} is not built; `cargo build --workspace --bins` does it");
    path
}

impl Program {
    /// Starts it; `folder` keeps what it says.
    pub fn start(name: &str, folder: &Path, mut command: Command) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let stderr = folder.join(format!("{name}-{}.log", COUNT.fetch_add(1, Ordering::Relaxed)));
        let log = File::create(&stderr).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { name: name.to_owned(), process, stderr }
    }

    /// An ingest of some shards behind an external broker.
    pub fn ingest(folder: &Path, broker: SocketAddr, share: (u32, u32)) -> Self {
        Self::ingest_by(Command::new(built("ingest")), folder, &folder.join("lake"), broker, share)
    }

    /// The same by a command that comes to be one.
    pub fn ingest_by(
        mut command: Command,
        folder: &Path,
        lake_dir: &Path,
        broker: SocketAddr,
        (instance, instances): (u32, u32),
    ) -> Self {
        let name = format!("ingest-{instance}-of-{instances}");
        let variables = [
            ("LAKE", lake_dir.display().to_string()),
            ("INSTANCE", instance.to_string()),
            ("INSTANCES", instances.to_string()),
            ("BROKER__EXTERNAL", broker.to_string()),
            ("FLUSH_INTERVAL", "200ms".to_owned()),
        ];
        for (key, value) in variables {
            command.env(format!("ROADLAKE_INGEST__{key}"), value);
        }
        command.env("ROADLAKE_LOG", "warn,ingest=info");
        Self::start(&name, folder, command)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it owns its shards.
    pub async fn claimed(mut self) -> Self {
        within(&format!("{} owns its shards", self.name.clone()), async {
            while !self.said().contains("shards claimed") {
                self.assert_running();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        self
    }

    /// An agent on the spool of its vehicle, which ends when everything is durable.
    pub fn agent(folder: &Path, broker: SocketAddr, vehicle: &Replayed<'_>) -> Self {
        let mut command = Command::new(built("edge-agent"));
        command.args(["run", "--exit-when-done", "--speed", vehicle.speed, "--vehicle", vehicle.id]);
        command.arg("--broker").arg(broker.to_string()).arg("--replay").arg(vehicle.log);
        command.arg("--spool").arg(folder.join(format!("spool-{}", vehicle.id)));
        for dbc in vehicle.dbcs {
            command.arg("--dbc").arg(root().join(dbc));
        }
        command.arg("--map").arg(root().join(vehicle.map));
        command.env("ROADLAKE_EDGE_AGENT__COLLECT__BATCH_INTERVAL", vehicle.batch_interval);
        command.env("ROADLAKE_EDGE_AGENT__UPLINK__RESEND_AFTER", "2s").env("ROADLAKE_LOG", "warn");
        Self::start(&format!("agent-{}", vehicle.id), folder, command)
    }

    /// Its memory in use, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Stops it where it is, until [`Program::go_on`].
    pub fn hold(&self) {
        self.signal(Signal::SIGSTOP);
        // It is stopped when all of its threads are.
        let is_held = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().unwrap().trim_start().starts_with(['T', 't']) || stat.is_empty()
        };
        let tasks = PathBuf::from(format!("/proc/{}/task", self.id()));
        while !std::fs::read_dir(&tasks).unwrap().all(is_held) {
            std::thread::yield_now();
        }
    }

    /// Asks it to end, as an operator does.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.id()).unwrap());
        nix::sys::signal::kill(id, signal).unwrap();
    }

    /// kill -9, if it still runs.
    pub fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// What it has said on its standard error.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// Fails the test unless it runs.
    pub fn assert_running(&mut self) {
        assert!(self.is_running(), "{} has ended: {}", self.name, self.said());
    }

    /// Waits for its end: its exit code and what it said.
    pub async fn ended(&mut self) -> (Option<i32>, String) {
        let what = format!("the end of {}", self.name);
        let process = &mut self.process;
        let status = within(&what, async {
            loop {
                if let Some(status) = process.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        (status.code(), self.said())
    }
}
