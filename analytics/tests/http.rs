//! The program `analytics` and who watches it: a process of its own, asked as a probe asks.

#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use lake::{Lake, TableKind};

const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Status and body of a GET.
fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: analytics\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head[9..12].parse().unwrap(), body.to_owned()))
}

fn until_ready_says(address: SocketAddr, status: u16, part: &str) {
    let mut last = None;
    for _ in 0..PATIENCE.as_millis() / 10 {
        let answer = get(address, "/ready").unwrap();
        if answer.0 == status && answer.1.contains(part) {
            return;
        }
        last = Some(answer);
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not {status} with {part} within {PATIENCE:?}; the last answer was {last:?}");
}

#[test]
fn analytics_is_ready_when_it_has_read_the_lake_and_its_door_is_open() {
    let folder = tempfile::tempdir().unwrap();
    // With readings to look through, if none yet.
    let made = Lake::create(&folder.path().join("lake")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(made.create_table(TableKind::Readings)).unwrap();
    let process = Command::new(env!("CARGO_BIN_EXE_analytics"))
        .env("ROADLAKE_ANALYTICS__LAKE", folder.path().join("lake"))
        .env("ROADLAKE_ANALYTICS__POSTGRES__LISTEN", "127.0.0.1:0")
        .env("ROADLAKE_ANALYTICS__HTTP__LISTEN", "127.0.0.1:0")
        .env("ROADLAKE_ANALYTICS__HTTP__DRAIN", "2s")
        .env("ROADLAKE_LOG", "warn,analytics=info,service=info")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut analytics = Running(process);
    let mut lines = BufReader::new(analytics.0.stderr.take().unwrap()).lines();
    let mut address = |words: &str| -> SocketAddr {
        let line = lines.find_map(|line| line.ok().filter(|line| line.contains(words))).unwrap();
        line.split("address=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    let (http, door) = (address("answering /health"), address("SQL by the Postgres protocol"));
    assert_eq!(get(http, "/health").unwrap(), (200, "ok\n".to_owned()));
    until_ready_says(http, 200, r#""analytics":"ready","postgres":"ready""#);
    assert!(get(http, "/metrics").unwrap().1.contains("roadlake_analytics_pass_duration_seconds"));

    let id = analytics.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    until_ready_says(http, 503, r#""process":"failing""#);
    assert!(TcpStream::connect(door).is_ok(), "clients come in until who sends them has noticed");
    assert!(analytics.0.wait().unwrap().success());
    assert!(get(http, "/ready").is_err() && TcpStream::connect(door).is_err());
}
