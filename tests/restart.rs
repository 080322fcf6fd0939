//! kill -9 of the process that runs ingest and broker, at ten random instants while batches
//! flow: the lake ends with exactly the rows of an undisturbed run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

#[path = "support/content.rs"]
mod content;
#[path = "support/pipeline.rs"]
mod pipeline;

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use content::content;
use edge_agent::source::replay::Pace;
use pipeline::{Pipeline, real_car, within};
use service::{Tasks, clock::SystemClock};

const KILLS: u32 = 10;

fn serve(data: &Path, mqtt: SocketAddr) -> Child {
    Command::new(env!("CARGO_BIN_EXE_roadlake"))
        .args(["serve", "--listen", "127.0.0.1:0", "--mqtt-listen", &mqtt.to_string(), "--data"])
        .arg(data)
        .env("ROADLAKE_LOG", "error")
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_leave_the_rows_of_an_undisturbed_run() {
    let undisturbed = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(undisturbed.path()).await;
    let agent =
        pipeline.agent(real_car(&undisturbed.path().join("spool"), pipeline.broker(), Pace::FlatOut)).await;
    within("the undisturbed run drained", agent.drained()).await;
    let sampled = agent.stats().samples_collected_total();
    pipeline.stop().await;
    let expected = content(&undisturbed.path().join("lake")).await;
    assert!(expected.rows > 10_000, "{expected:?}");

    let disturbed = tempfile::tempdir().unwrap();
    let mqtt: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tasks = Tasks::new();
    let mut server = serve(disturbed.path(), mqtt);
    let settings = real_car(&disturbed.path().join("spool"), mqtt, Pace::Recorded(80.0));
    let agent = edge_agent::agent::start(settings, &tasks, SystemClock::shared()).await.unwrap();

    let seed = u64::from(std::process::id()) ^ SystemClock::shared().now_us().unsigned_abs();
    println!("seed {seed}");
    let mut state = seed;
    for kill in 1..=KILLS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wait = Duration::from_millis(1200 + (state >> 33) % 2500);
        tokio::time::sleep(wait).await;
        // Child::kill is SIGKILL.
        server.kill().unwrap();
        server.wait().unwrap();
        println!(
            "kill {kill} after {wait:?}: {} batches wait on the vehicle",
            agent.stats().batches_in_spool
        );
        server = serve(disturbed.path(), mqtt);
    }
    within("the disturbed run drained", agent.drained()).await;
    let stats = agent.stats();
    println!(
        "{} reconnects, {} resends, {} batches sent for {}",
        stats.reconnects, stats.resends, stats.batches_sent, stats.batches_spooled
    );
    assert_eq!(stats.samples_collected_total(), sampled);
    assert_eq!(stats.samples_dropped_total(), 0);
    assert!(stats.reconnects > 0, "the kills were noticed");
    tasks.stop(Duration::from_secs(10)).await.unwrap();
    server.kill().unwrap();
    server.wait().unwrap();

    assert_eq!(content(&disturbed.path().join("lake")).await, expected, "seed {seed}");
}
