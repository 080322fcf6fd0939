//! A lake with a door, and clients of it that no one here wrote: their Python is `tests/clients/ask.py`, in the
//! environment that `scripts/setup --tests` makes.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use lake::LakeSettings;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Tasks, clock::ManualClock};
use wire::time::Timestamp;

use super::{TestLake, run};
use crate::{Analytics, engine::Limits};

pub(crate) const START_S: i64 = 1_714_550_400;
pub(crate) const NOW: Timestamp = Timestamp((START_S + 1000) * 1_000_000);

/// A lake with a door, on a free port.
pub(crate) struct Open {
    pub(crate) lake: TestLake,
    pub(crate) analytics: Analytics,
    pub(crate) address: SocketAddr,
    pub(crate) tasks: Tasks,
}

/// An answer of a client.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) columns: Vec<String>,
    #[serde(default)]
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) error: Option<String>,
    sqlstate: Option<String>,
}

impl Answer {
    pub(crate) fn rows(&self) -> &[Vec<Value>] {
        assert_eq!(self.error, None);
        &self.rows
    }

    /// The message and the code of a refusal: SQLSTATE, or gRPC's.
    pub(crate) fn refusal(&self) -> (&str, &str) {
        let message = self.error.as_deref().unwrap_or_else(|| panic!("not refused: {self:?}"));
        (message, self.sqlstate.as_deref().unwrap_or(""))
    }
}

impl Open {
    /// Readings of two vehicles behind the door that `start` opens.
    pub(crate) async fn of(
        limits: Limits,
        start: impl AsyncFnOnce(&Analytics, &Tasks) -> SocketAddr,
    ) -> Self {
        let mut lake = TestLake::new().await;
        lake.append_of("acme-1", &run(START_S, 100, 36.0), NOW).await;
        lake.append_of("bolt-1", &run(START_S, 50, 72.0), NOW).await;
        let analytics =
            Analytics::open(&LakeSettings::folder(lake.dir.path()), limits, ManualClock::at(NOW.0))
                .await
                .unwrap();
        let tasks = Tasks::new();
        let address = start(&analytics, &tasks).await;
        Self { lake, analytics, address, tasks }
    }

    /// Asks by one client on one connection.
    pub(crate) async fn ask(
        &self,
        driver: &'static str,
        as_user: &str,
        sslmode: &str,
        ask: Value,
    ) -> Result<Vec<Answer>, String> {
        let given = json!({
            "host": "127.0.0.1", "port": self.address.port(), "user": as_user,
            "password": format!("secret of {as_user}"), "sslmode": sslmode, "ask": ask,
        });
        tokio::task::spawn_blocking(move || ask_client(driver, &given)).await.unwrap()
    }

    pub(crate) async fn stop(self) {
        self.tasks.stop(Duration::from_secs(20)).await.unwrap();
    }
}

fn ask_client(driver: &str, given: &Value) -> Result<Vec<Answer>, String> {
    let mut client = client(driver);
    client.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

/// A client that waits for what to ask.
pub(crate) fn client(driver: &str) -> std::process::Child {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(manifest.join("../target"), PathBuf::from);
    Command::new(target.join("lake-readers/venv/bin/python"))
        .arg(manifest.join("tests/clients/ask.py"))
        .arg(driver)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the clients are not there: run scripts/setup --tests once, with the network")
}
