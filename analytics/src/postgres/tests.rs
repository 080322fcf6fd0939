//! The door by clients that no one here wrote: psql, psycopg and JDBC. Their Python is
//! `tests/clients/ask.py`, in the environment that `scripts/setup --tests` makes.

use std::{
    process::{Command, Output, Stdio},
    sync::Arc,
};

use serde_json::{Value, json};

use super::*;
use crate::{
    doors::testing::{settings, tls, user},
    engine::Limits,
    testing::{
        door::{Answer, NOW, Open, START_S},
        run,
    },
};

mod clients;
pub(crate) mod refused;

impl Open {
    async fn new() -> Self {
        Self::with(Limits::default(), settings(Vec::new())).await
    }

    async fn with(limits: Limits, settings: DoorSettings) -> Self {
        Self::of(limits, async |analytics, tasks| start(analytics, settings, tasks).await.unwrap()).await
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
    let mut door = settings(Vec::new());
    door.tls = Some(tls());
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
        Open::with(Limits::default(), DoorSettings { connections_max: 1, ..settings(Vec::new()) }).await;
    let first = TcpStream::connect(open.address).await.unwrap();
    // Until it has been accepted it does not count.
    let mut second = TcpStream::connect(open.address).await.unwrap();
    let mut byte = [0_u8; 1];
    let closed = tokio::io::AsyncReadExt::read(&mut second, &mut byte).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    drop(first);
    open.stop().await;
}
