//! The program `ingest` and who watches it: a process of its own, asked as a probe asks.

#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    time::Duration,
};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use wire::{ids::VehicleId, topics::Channel};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running ingest with its embedded broker.
struct Ingest {
    process: Child,
    said: Receiver<String>,
}

impl Drop for Ingest {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Ingest {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ingest"))
            .env("ROADLAKE_INGEST__LAKE", folder.join("lake"))
            .env("ROADLAKE_INGEST__BROKER__EMBEDDED_LISTEN", "127.0.0.1:0")
            .env("ROADLAKE_INGEST__HTTP__LISTEN", "127.0.0.1:0")
            .env("ROADLAKE_INGEST__HTTP__DRAIN", "2s")
            .env("ROADLAKE_INGEST__FLUSH_INTERVAL", "50ms")
            .env("ROADLAKE_INGEST__WAIT_AFTER", "100ms")
            .env("ROADLAKE_LOG", "warn,ingest=info,service=info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (tell, said) = sync_channel(10_000);
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { process, said }
    }

    /// The address in the line of the log that has these words.
    fn address(&self, words: &str) -> SocketAddr {
        loop {
            let line = self.said.recv_timeout(PATIENCE).unwrap();
            if line.contains(words) {
                let text = line.split("address=").nth(1).unwrap();
                return text.split(' ').next().unwrap().parse().unwrap();
            }
        }
    }
}

/// Status and body of a GET.
fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: ingest\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head[9..12].parse().unwrap(), body.to_owned()))
}

/// Waits until `/ready` answers so.
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

/// Publishes what cannot be decoded, which is stored in quarantine, and waits for the broker's word.
fn publish_junk(broker: SocketAddr, junk: &[u8]) {
    let vehicle: VehicleId = "van-1".parse().unwrap();
    let options = MqttOptions::new("van-1", broker.ip().to_string(), broker.port());
    let (client, mut connection) = Client::new(options, 10);
    client.publish(wire::topics::topic(&vehicle, Channel::Telemetry), QoS::AtLeastOnce, false, junk).unwrap();
    let confirmed = connection.iter().find(|e| matches!(e, Ok(Event::Incoming(Packet::PubAck(_)))));
    assert!(confirmed.is_some());
}

#[test]
fn ingest_is_ready_while_it_is_subscribed_and_the_lake_takes_commits() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Ingest::start(folder.path());
    let http = ingest.address("answering /health");
    assert_eq!(get(http, "/health").unwrap(), (200, "ok\n".to_owned()));
    until_ready_says(http, 200, r#""broker":"ready","lake":"ready""#);
    let broker = ingest.address("embedded broker listening");

    publish_junk(broker, b"no batch");
    let stored = "roadlake_ingest_batches_quarantined_total";
    while !get(http, "/metrics").unwrap().1.contains(stored) {
        std::thread::sleep(Duration::from_millis(10));
    }

    // A lake that takes nothing: where the table's log was is a file.
    let log = folder.path().join("lake/quarantine/_delta_log");
    let aside = folder.path().join("aside");
    fs::rename(&log, &aside).unwrap();
    fs::write(&log, "").unwrap();
    publish_junk(broker, b"no batch either");
    until_ready_says(http, 503, r#""broker":"ready","lake":"failing""#);
    assert_eq!(get(http, "/health").unwrap().0, 200, "a lake that is away is no reason to start again");
    fs::remove_file(&log).unwrap();
    fs::rename(&aside, &log).unwrap();
    until_ready_says(http, 200, r#""lake":"ready""#);

    // Told to stop, it says so while it still serves, and then ends well.
    let id = ingest.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    until_ready_says(http, 503, r#""process":"failing""#);
    assert!(ingest.process.wait().unwrap().success());
    assert!(get(http, "/ready").is_err());
}
