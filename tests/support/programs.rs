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

use crate::pipeline::within;

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
    pub fn ingest(folder: &Path, broker: SocketAddr, (instance, instances): (u32, u32)) -> Self {
        let mut command = Command::new(built("ingest"));
        let name = format!("ingest-{instance}-of-{instances}");
        let variables = [
            ("LAKE_DIR", folder.join("lake").display().to_string()),
            ("INSTANCE", instance.to_string()),
            ("INSTANCES", instances.to_string()),
            ("BROKER__EXTERNAL", broker.to_string()),
            ("FLUSH_INTERVAL", "200ms".to_owned()),
        ];
        for (key, value) in variables {
            command.env(format!("ROADLAKE_INGEST__{key}"), value);
        }
        command.env("ROADLAKE_LOG", "warn");
        Self::start(&name, folder, command)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
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
