//! A mosquitto of the bench's own, one that publishes through it and one that only counts.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use uuid::Uuid;

const PACKET_BYTES_MAX: usize = 300_000;
/// Messages on the way to the broker, as a fleet's are: each of its vehicles has up to 64.
const IN_FLIGHT: u16 = 1000;

/// A running mosquitto; dropped, it is killed.
#[derive(Debug)]
pub struct Mosquitto {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Mosquitto {
    /// Starts Debian's on a free port of loopback, with the limits of `configs/brokers/mosquitto.conf`.
    pub fn start() -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("mosquitto.conf");
        // Started by root it would take another user, who cannot read here.
        let text = format!(
            "listener {} {}\nallow_anonymous true\nuser root\npersistence false\nlog_dest none\n\
             max_inflight_messages 1000\nmax_queued_messages 100000\n",
            address.port(),
            address.ip()
        );
        std::fs::write(&config, text)?;
        let process = Command::new("mosquitto")
            .env("PATH", "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin")
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start mosquitto; scripts/setup --tests installs it")?;
        let mut broker = Self { process, address, _folder: folder };
        while broker.process.try_wait()?.is_none() {
            if TcpStream::connect(address).is_ok() {
                return Ok(broker);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("mosquitto ended at once")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn options(&self) -> MqttOptions {
        let id = Uuid::new_v4().simple().to_string();
        let mut options = MqttOptions::new(id, self.address.ip().to_string(), self.address.port());
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX).set_inflight(IN_FLIGHT);
        options
    }

    /// Publishes these at QoS 1 from a thread of its own, and ends when the broker has confirmed all.
    pub fn publish(&self, messages: Vec<(String, Vec<u8>)>) -> std::thread::JoinHandle<Result<()>> {
        let options = self.options();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(publish(options, messages))
        })
    }

    /// Subscribes to everything at QoS 1.
    pub async fn subscribe(&self) -> Result<Counter> {
        let (client, mut events) = AsyncClient::new(self.options(), 16);
        client.subscribe("rl/v1/#", QoS::AtLeastOnce).await?;
        while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
        Ok(Counter { _client: client, events })
    }
}

async fn publish(options: MqttOptions, messages: Vec<(String, Vec<u8>)>) -> Result<()> {
    let (client, mut events) = AsyncClient::new(options, usize::from(IN_FLIGHT));
    let wanted = messages.len();
    let sending = async {
        for (topic, payload) in messages {
            client.publish(topic, QoS::AtLeastOnce, false, payload).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let confirming = async {
        let mut confirmed = 0;
        while confirmed < wanted {
            if matches!(events.poll().await?, Event::Incoming(Packet::PubAck(_))) {
                confirmed += 1;
            }
        }
        Ok(())
    };
    tokio::try_join!(sending, confirming)?;
    Ok(())
}

/// A subscriber that does nothing with what it gets.
pub struct Counter {
    _client: AsyncClient,
    events: rumqttc::EventLoop,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

impl Counter {
    /// Takes messages until there were so many.
    pub async fn take(&mut self, wanted: usize) -> Result<()> {
        let mut taken = 0;
        while taken < wanted {
            if matches!(self.events.poll().await?, Event::Incoming(Packet::Publish(_))) {
                taken += 1;
            }
        }
        ensure!(taken == wanted, "{taken} messages of {wanted}");
        Ok(())
    }
}
