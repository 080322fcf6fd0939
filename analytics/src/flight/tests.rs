//! The door by a client that no one here wrote: ADBC's driver for Flight SQL, which is Arrow's own in Go.

use serde_json::{Value, json};

use super::*;
use crate::{
    doors::testing::{settings, tls, user},
    engine::Limits,
    postgres::tests::refused::WAYS,
    testing::{
        door::{Answer, NOW, Open, START_S, client},
        run,
    },
};

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000) AS a(x) WHERE x % 7 = 3";

impl Open {
    async fn flight(limits: Limits, settings: DoorSettings) -> Self {
        Self::of(limits, async |analytics, tasks| start(analytics, settings, tasks).await.unwrap()).await
    }

    async fn adbc(&self, ask: Value) -> Vec<Answer> {
        self.ask("adbc", "", "disable", ask).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn adbc_asks_with_values_and_gets_columns() {
    let mut open = Open::flight(Limits::default(), settings(Vec::new())).await;
    let by_parameter = "SELECT count(*) FROM readings WHERE vehicle_id = ? AND speed_kmh > ?";
    let by_number = "SELECT count(*) FROM readings WHERE speed_kmh > $2 AND vehicle_id = $1";
    let answers = open
        .adbc(json!([
            [
                "SELECT vehicle_id, ts, speed_kmh, ignition_on, fuel_used_l, sequence, date FROM readings \
              WHERE vehicle_id = 'acme-1' ORDER BY ts LIMIT 2",
                null,
                ""
            ],
            [by_parameter, ["bolt-1", 50.0], ""],
            [by_number, ["bolt-1", 50.0], ""],
            [by_parameter, ["bolt-1", 90.0], ""],
            ["SELECT vehicle_id, ts, speed_kmh FROM readings", null, "arrow"],
            ["SELECT ?", [null], ""],
            ["SHOW TABLES", null, ""],
            ["EXPLAIN SELECT count(*) FROM readings WHERE vehicle_id = ?", ["acme-1"], ""],
        ]))
        .await;
    let first = [
        json!("acme-1"),
        json!("2024-05-01 08:00:00+00:00"),
        json!(36.0),
        json!(true),
        Value::Null,
        json!(1),
        json!("2024-05-01"),
    ];
    assert_eq!(answers[0].rows()[0], first);
    assert_eq!(answers[0].rows().len(), 2);
    assert_eq!(answers[1].rows(), [[json!(50)]]);
    assert_eq!(answers[2].rows(), [[json!(50)]]);
    assert_eq!(answers[3].rows(), [[json!(0)]]);
    assert_eq!(answers[4].columns, ["vehicle_id", "ts", "speed_kmh"]);
    let plain = [json!("string"), json!("timestamp[us, tz=UTC]"), json!("double")];
    assert_eq!(answers[4].rows()[0], plain);
    assert_eq!(answers[4].rows()[1], [json!(150), json!(r#"{"readings":2}"#)]);
    assert_eq!(answers[5].rows(), [[Value::Null]]);
    assert!(answers[6].rows().len() > 5);
    assert!(!answers[7].rows().is_empty());

    // The next statement sees what came since.
    open.lake.append_of("acme-1", &run(START_S + 500, 10, 36.0), NOW).await;
    let answers = open.adbc(json!([["SELECT count(*) FROM readings", null, ""]])).await;
    assert_eq!(answers[0].rows(), [[json!(160)]]);
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adbc_finds_its_way_by_the_catalogue() {
    let open = Open::flight(Limits::default(), settings(Vec::new())).await;
    let answers = open
        .adbc(json!([
            ["readings", null, "objects"],
            ["latest_trips", null, "objects"],
            ["nothing_%", null, "objects"],
            ["", null, "info"],
            ["readings", null, "schema"],
        ]))
        .await;
    let [readings] = answers[0].rows() else { panic!("{answers:?}") };
    assert_eq!(readings[..4], [json!("roadlake"), json!("lake"), json!("readings"), json!("TABLE")]);
    assert!(readings[4].as_array().unwrap().contains(&json!("speed_kmh")), "{readings:?}");
    assert_eq!(answers[1].rows()[0][3], json!("VIEW"));
    assert!(answers[2].rows().is_empty());
    assert_eq!(answers[3].rows()[0], [json!("Roadlake"), json!(["TABLE", "VIEW"])]);
    let of_ts = answers[4].columns.iter().position(|name| name == "ts").unwrap();
    assert_eq!(answers[4].rows()[0][of_ts], json!("timestamp[us, tz=UTC]"));
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_and_the_connection_goes_on() {
    let open = Open::flight(Limits::default(), settings(Vec::new())).await;
    let two = "SELECT count(*) FROM readings WHERE vehicle_id = ? AND speed_kmh > ?";
    let answers = open
        .adbc(json!([
            ["SELECT spead FROM readings", null, ""],
            ["SELECT 1 +", null, ""],
            [two, ["bolt-1"], ""],
            ["SELECT 1", [1], ""],
            ["SELECT count(*) FROM readings WHERE vehicle_id = $named", ["a"], ""],
            ["SELECT CAST(vehicle_id AS INT) FROM readings", null, ""],
            ["mine", null, "ingest"],
            ["SELECT count(*) FROM readings", null, ""],
        ]))
        .await;
    for (answer, why) in answers.iter().zip([
        "speed_kmh",
        "expression",
        "2 places for values, and 1",
        "0 places for values, and 1",
        "no place for a value",
        "Cannot cast",
        "only reads",
    ]) {
        let (message, code) = answer.refusal();
        assert!(message.contains(why) && code == "INVALID_ARGUMENT", "{why}: {code} {message}");
    }
    assert_eq!(answers[7].rows(), [[json!(150)]]);
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_around_writes_or_leaves_the_tables() {
    let open = Open::flight(Limits::default(), settings(Vec::new())).await;
    // The tables are those of this schema here.
    let ways: Vec<&str> = WAYS.iter().copied().filter(|way| !way.contains("lake.readings")).collect();
    let ask = ways.iter().flat_map(|way| [json!([way, null, ""]), json!([way, null, "update"])]);
    let answers = open.adbc(Value::Array(ask.collect())).await;
    for (way, answer) in ways.iter().zip(answers.chunks(2)) {
        for answer in answer {
            assert!(answer.error.is_some(), "{way}: {answer:?}");
        }
    }
    let still = open.adbc(json!([["SELECT count(*) FROM readings", null, ""]])).await;
    assert_eq!(still[0].rows(), [[json!(150)]]);
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_in_by_password_over_tls_and_see_their_own_vehicles() {
    let mut door = settings(vec![user("fleet", None), user("acme", Some("acme-*"))]);
    door.tls = Some(tls());
    let open = Open::flight(Limits::default(), door).await;
    let counts = json!([
        ["SELECT vehicle_id, count(*) FROM readings GROUP BY 1 ORDER BY 1", null, ""],
        ["SELECT count(*) FROM lake.readings WHERE vehicle_id = ?", ["bolt-1"], ""],
        ["readings", null, "objects"],
    ]);
    let all = open.ask("adbc", "fleet", "require", counts.clone()).await.unwrap();
    assert_eq!(all[0].rows(), [[json!("acme-1"), json!(100)], [json!("bolt-1"), json!(50)]]);
    assert_eq!(all[1].rows(), [[json!(50)]]);
    let own = open.ask("adbc", "acme", "require", counts.clone()).await.unwrap();
    assert_eq!(own[0].rows(), [[json!("acme-1"), json!(100)]]);
    assert_eq!(own[1].rows(), [[json!(0)]]);
    assert_eq!(own[2].rows().len(), 1);

    let nobody = open.ask("adbc", "", "require", counts.clone()).await;
    let told = nobody.map_or_else(|e| e, |answers| answers[0].refusal().0.to_owned());
    assert!(told.contains("sign in with a user"), "{told}");
    let refused = open.ask("adbc", "mallory", "require", counts.clone()).await.unwrap_err();
    assert!(refused.contains("no such user with this password"), "{refused}");
    let plain = open.ask("adbc", "fleet", "disable", counts).await;
    assert!(plain.is_err(), "{plain:?}");
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
    let open = Open::flight(limits, settings(Vec::new())).await;
    let answers = open
        .adbc(json!([
            [ENDLESS, null, ""],
            ["SELECT * FROM readings", null, ""],
            ["SELECT speed_kmh FROM readings LIMIT 120", null, ""],
        ]))
        .await;
    let (message, code) = answers[0].refusal();
    assert!(message.contains("statement_time") && code == "TIMEOUT", "{code} {message}");
    let (message, code) = answers[1].refusal();
    assert!(message.contains("more than 120 rows"), "{code} {message}");
    assert_eq!(answers[2].rows().len(), 120);
    open.stop().await;
}

/// A client that gives its query's place back when it is killed shows that its query was ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_client() {
    let hour = Duration::from_secs(3600);
    let limits = Limits { queries_max: 1, queue_wait: hour, statement_time: hour, ..Limits::default() };
    let open = Open::flight(limits, settings(Vec::new())).await;
    let mut asking = client("adbc");
    let ask = json!({
        "host": "127.0.0.1", "port": open.address.port(), "user": "", "password": "", "sslmode": "disable",
        "ask": [[ENDLESS, null, ""]],
    });
    std::io::Write::write_all(&mut asking.stdin.take().unwrap(), ask.to_string().as_bytes()).unwrap();
    // It was described, which takes the place for a moment, and now has it for long.
    let mut held = 0;
    while held < 10 {
        assert!(asking.try_wait().unwrap().is_none(), "the client ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
        held = if open.analytics.shared.free_places() == 0 { held + 1 } else { 0 };
    }
    asking.kill().unwrap();
    asking.wait().unwrap();
    let answers = open.adbc(json!([["SELECT 1", null, ""]])).await;
    assert_eq!(answers[0].rows(), [[json!(1)]]);
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_the_most_is_closed_and_a_stop_waits_for_nobody() {
    let open =
        Open::flight(Limits::default(), DoorSettings { connections_max: 1, ..settings(Vec::new()) }).await;
    let first = tokio::net::TcpStream::connect(open.address).await.unwrap();
    // Until it has been accepted it does not count.
    let mut second = tokio::net::TcpStream::connect(open.address).await.unwrap();
    let mut byte = [0_u8; 1];
    let closed = tokio::io::AsyncReadExt::read(&mut second, &mut byte).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    // It never says anything.
    open.stop().await;
    drop(first);
}
