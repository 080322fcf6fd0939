//! The door by clients that no one here wrote: psql, psycopg and JDBC. Their Python is
//! `tests/clients/ask.py`, in the environment that `scripts/setup --tests` makes.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use lake::LakeSettings;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{clock::ManualClock, config::Secret};
use wire::time::Timestamp;

use super::*;
use crate::{
    engine::Limits,
    testing::{TestLake, run},
};

mod clients;
mod refused;

const START_S: i64 = 1_714_550_400;
const NOW: Timestamp = Timestamp((START_S + 1000) * 1_000_000);

/// A lake with a door, on a free port.
struct Open {
    lake: TestLake,
    analytics: Analytics,
    address: SocketAddr,
    tasks: Tasks,
}

/// An answer of a client.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    rows: Vec<Vec<Value>>,
    error: Option<String>,
    sqlstate: Option<String>,
}

impl Answer {
    fn rows(&self) -> &[Vec<Value>] {
        assert_eq!(self.error, None);
        &self.rows
    }

    /// The message and SQLSTATE of a refusal.
    fn refusal(&self) -> (&str, &str) {
        let message = self.error.as_deref().unwrap_or_else(|| panic!("not refused: {self:?}"));
        (message, self.sqlstate.as_deref().unwrap_or(""))
    }
}

fn settings(users: Vec<User>) -> PostgresSettings {
    PostgresSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        certificate_pem: None,
        connections_max: 8,
        users,
    }
}

fn user(name: &str, vehicles: Option<&str>) -> User {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, format!("secret of {name}\n")).unwrap();
    let whose = vehicles.map(|v| v.parse().unwrap());
    User { name: name.to_owned(), password: Secret::from_file(&file).unwrap(), whose }
}

impl Open {
    async fn with(limits: Limits, settings: PostgresSettings) -> Self {
        let mut lake = TestLake::new().await;
        lake.append_of("acme-1", &run(START_S, 100, 36.0), NOW).await;
        lake.append_of("bolt-1", &run(START_S, 50, 72.0), NOW).await;
        let analytics =
            Analytics::open(&LakeSettings::folder(lake.dir.path()), limits, ManualClock::at(NOW.0))
                .await
                .unwrap();
        let tasks = Tasks::new();
        let address = start(&analytics, settings, &tasks).await.unwrap();
        Self { lake, analytics, address, tasks }
    }

    async fn new() -> Self {
        Self::with(Limits::default(), settings(Vec::new())).await
    }

    /// Asks by one client on one connection.
    async fn ask(
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

    async fn psycopg(&self, ask: Value) -> Vec<Answer> {
        self.ask("psycopg", "somebody", "prefer", ask).await.unwrap()
    }

    /// psql with further arguments.
    async fn psql(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("psql");
        command.args(["-X", "-h", "127.0.0.1", "-U", "somebody", "-d", "roadlake", "-p"]);
        command.arg(self.address.port().to_string()).args(arguments).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || {
            command.output().expect("psql is needed for this test; scripts/setup --tests installs it")
        })
        .await
        .unwrap()
    }

    async fn stop(self) {
        self.tasks.stop(Duration::from_secs(20)).await.unwrap();
    }
}

fn ask_client(driver: &str, given: &Value) -> Result<Vec<Answer>, String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(manifest.join("../target"), PathBuf::from);
    let python = target.join("lake-readers/venv/bin/python");
    let mut client = Command::new(python)
        .arg(manifest.join("tests/clients/ask.py"))
        .arg(driver)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psycopg is not there: run scripts/setup --tests once, with the network");
    client.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

/// A broken configuration is told whole, by its keys.
#[test]
fn a_door_to_the_network_wants_users_and_a_certificate() {
    let mut faults = Faults::of("x.toml");
    let config = PostgresConfig { listen: "0.0.0.0:5432".to_owned(), ..PostgresConfig::default() };
    config.check(&mut faults);
    let message = faults.finish(None::<()>).unwrap_err().to_string();
    assert!(message.contains("[[postgres.users]]") && message.contains("tls_certificate_file"), "{message}");

    let mut faults = Faults::of("x.toml");
    let user = UserConfig {
        name: "a".to_owned(),
        password_file: "/nowhere".into(),
        vehicles: Some("*,a".to_owned()),
    };
    let config = PostgresConfig {
        listen: "127.0.0.1".to_owned(),
        tls_key_file: Some("/nowhere".into()),
        users: vec![user.clone(), user],
        connections_max: 0,
        ..PostgresConfig::default()
    };
    config.check(&mut faults);
    let message = faults.finish(None::<()>).unwrap_err().to_string();
    for part in ["postgres.listen", "go together", "/nowhere", "connections_max", "a name of its own"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(PostgresConfig::default().check(&mut Faults::of("x.toml")).is_none());
}

/// A client that gives its connection's place back when it is killed shows that its query was ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_client() {
    let limits = Limits { queries_max: 1, queue_wait: Duration::from_secs(60), ..Limits::default() };
    let open = Open::with(limits, settings(Vec::new())).await;
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) AS a(x) WHERE x % 7 = 3";
    let mut psql = Command::new("psql")
        .args(["-X", "-h", "127.0.0.1", "-U", "somebody", "-d", "roadlake", "-c", endless, "-p"])
        .arg(open.address.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It has the only place.
    while open.analytics.shared.free_places() > 0 {
        assert!(psql.try_wait().unwrap().is_none(), "psql ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    psql.kill().unwrap();
    psql.wait().unwrap();
    let answers = open.psycopg(json!([["SELECT 1", null, "simple"]])).await;
    assert_eq!(answers[0].rows(), [[json!(1)]]);
    open.stop().await;
}

/// What Ctrl-C in psql sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_cancelled_by_its_client() {
    let hour = Duration::from_secs(3600);
    let limits = Limits { queries_max: 1, queue_wait: hour, statement_time: hour, ..Limits::default() };
    let open = Open::with(limits, settings(Vec::new())).await;
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) AS a(x) WHERE x % 7 = 3";
    let psql = Command::new("psql")
        .args(["-X", "-h", "127.0.0.1", "-U", "somebody", "-d", "roadlake", "-v", "VERBOSITY=verbose"])
        .args(["-c", endless, "-p"])
        .arg(open.address.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while open.analytics.shared.free_places() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = psql.id().to_string();
    let ended = tokio::task::spawn_blocking(move || psql.wait_with_output().unwrap());
    // Before psql waits for an answer it would end by the signal; it is asked until it has ended.
    while !ended.is_finished() {
        Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status().unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let told = String::from_utf8_lossy(&ended.await.unwrap().stderr).into_owned();
    assert!(told.contains("57014"), "{told}");
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_rows_and_places_are_bounded_and_said() {
    let limits = Limits {
        statement_time: Duration::from_millis(700),
        streamed_rows_max: 120,
        queries_max: 2,
        ..Limits::default()
    };
    let open = Open::with(limits, settings(Vec::new())).await;
    let answers = open
        .psycopg(json!([
            ["SELECT count(*) FROM generate_series(1, 100000000000) AS a(x) WHERE x % 7 = 3", null, "simple"],
            [
                "SELECT count(*) FROM generate_series(1, 100000000000) AS a(x) WHERE x % 7 = 3",
                null,
                "extended"
            ],
            ["SELECT * FROM readings", null, "simple"],
            ["SELECT * FROM readings", null, "extended"],
            ["SELECT * FROM readings WHERE vehicle_id = 'acme-1'", null, "extended"],
            ["SELECT speed_kmh FROM readings LIMIT 120", null, "simple"],
        ]))
        .await;
    for slow in &answers[..2] {
        let (message, state) = slow.refusal();
        assert!(message.contains("statement_time") && state == "57014", "{slow:?}");
    }
    for long in &answers[2..4] {
        let (message, state) = long.refusal();
        assert!(message.contains("more than 120 rows") && state == "53000", "{message} {state}");
    }
    assert_eq!((answers[4].rows().len(), answers[5].rows().len()), (100, 120));
    open.stop().await;
}

/// By password over TLS, and only so; each sees what is theirs.
#[tokio::test(flavor = "multi_thread")]
async fn users_come_in_by_password_and_see_their_own_vehicles() {
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (dir, mut faults) = (tempfile::tempdir().unwrap(), Faults::of("test"));
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let config = PostgresConfig {
        listen: "127.0.0.1:0".to_owned(),
        tls_certificate_file: Some(file("cert.pem", certificate.cert.pem())),
        tls_key_file: Some(file("key.pem", certificate.signing_key.serialize_pem())),
        ..PostgresConfig::default()
    };
    let mut door = config.check(&mut faults).unwrap();
    door.users = vec![user("fleet", None), user("acme", Some("acme-*"))];
    let open = Open::with(Limits::default(), door).await;
    let counts =
        json!([["SELECT vehicle_id, count(*) FROM readings GROUP BY 1 ORDER BY 1", null, "extended"]]);
    let all = open.ask("psycopg", "fleet", "require", counts.clone()).await.unwrap();
    assert_eq!(all[0].rows(), [[json!("acme-1"), json!(100)], [json!("bolt-1"), json!(50)]]);
    let own = open.ask("psycopg", "acme", "require", counts.clone()).await.unwrap();
    assert_eq!(own[0].rows(), [[json!("acme-1"), json!(100)]]);

    for (name, sslmode, why) in
        [("mallory", "require", "authentication failed"), ("fleet", "disable", "speaks TLS only")]
    {
        let refused = open.ask("psycopg", name, sslmode, counts.clone()).await.unwrap_err();
        assert!(refused.contains(why), "{name} {sslmode}: {refused}");
    }
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_the_most_is_closed() {
    let open =
        Open::with(Limits::default(), PostgresSettings { connections_max: 1, ..settings(Vec::new()) }).await;
    let first = TcpStream::connect(open.address).await.unwrap();
    // Until it has been accepted it does not count.
    let mut second = TcpStream::connect(open.address).await.unwrap();
    let mut byte = [0_u8; 1];
    let closed = tokio::io::AsyncReadExt::read(&mut second, &mut byte).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    drop(first);
    open.stop().await;
}
