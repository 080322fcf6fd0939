//! A cluster of three rmqtt nodes (cross/rmqtt) by the sample files of configs/brokers/rmqtt, on free
//! ports of a loopback address of its own: outgoing connections come from another, so that none can take
//! a node's port while it is down.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is the message")]

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    certificates::Certificates,
    pipeline::{root, try_http_get, within},
    programs::Program,
};

/// The variable with the node's program.
const PROGRAM: &str = "ROADLAKE_RMQTT_NODE";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
pub const NODES: usize = 3;
/// How often the cluster is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Whether a node may begin a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Form,
    Join,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    mqtt: SocketAddr,
    http: SocketAddr,
    rpc: SocketAddr,
    raft: SocketAddr,
}

pub struct Cluster {
    folder: PathBuf,
    addresses: Vec<Addresses>,
    /// Of the nodes that are meant to run.
    nodes: [Option<Program>; NODES],
    /// Starts that ended by themselves, for want of a leader to join.
    pub starts_in_vain: u64,
}

/// How the nodes that answer see the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    leader: usize,
    /// Those that run and agree on the leader.
    members: BTreeSet<usize>,
}

impl Cluster {
    /// Three nodes that know each other, one after the other.
    pub async fn start(certificates: &Certificates, folder: &Path) -> Self {
        let mut cluster = Self::configured(certificates, folder);
        cluster.run(0, Start::Form);
        cluster.agreed(&[0]).await;
        for place in 1..NODES {
            cluster.start_again(place).await;
        }
        cluster
    }

    /// The first of three nodes, alone.
    pub async fn start_one(certificates: &Certificates, folder: &Path) -> Self {
        let mut cluster = Self::configured(certificates, folder);
        cluster.run(0, Start::Form);
        cluster.agreed(&[0]).await;
        cluster
    }

    /// All files, and nothing that runs.
    fn configured(certificates: &Certificates, folder: &Path) -> Self {
        certificates.issue("broker", Some("broker"));
        // Held until all are found, so that they differ.
        let held: Vec<TcpListener> =
            (0..4 * NODES).map(|_| TcpListener::bind((ADDRESS, 0)).unwrap()).collect();
        let ports: Vec<SocketAddr> = held.iter().map(|l| l.local_addr().unwrap()).collect();
        let addresses: Vec<Addresses> = ports
            .chunks_exact(4)
            .map(|p| Addresses { mqtt: p[0], http: p[1], rpc: p[2], raft: p[3] })
            .collect();
        let cluster =
            Self { folder: folder.to_owned(), addresses, nodes: [const { None }; NODES], starts_in_vain: 0 };
        for place in 0..NODES {
            cluster.configure(place, certificates.folder());
        }
        cluster
    }

    fn node_folder(&self, place: usize) -> PathBuf {
        self.folder.join(format!("node-{}", place + 1))
    }

    /// The sample files with this node's addresses and these paths.
    fn configure(&self, place: usize, certificates: &Path) {
        let (folder, own) = (self.node_folder(place), self.addresses[place]);
        fs::create_dir_all(&folder).unwrap();
        let list = |of: fn(&Addresses) -> SocketAddr| {
            let peers = self.addresses.iter().enumerate();
            let peers: Vec<String> = peers.map(|(i, a)| format!("\"{}@{}\"", i + 1, of(a))).collect();
            format!("[{}]", peers.join(", "))
        };
        let sample = |of: &str| format!("[\"1@broker-1:{of}\", \"2@broker-2:{of}\", \"3@broker-3:{of}\"]");
        let quoted = |text: &dyn std::fmt::Display| format!("\"{text}\"");
        let changes = [
            ("rmqtt.toml", "\"0.0.0.0:5363\"".to_owned(), quoted(&own.rpc)),
            ("rmqtt.toml", "\"0.0.0.0:8883\"".to_owned(), quoted(&own.mqtt)),
            (
                "rmqtt.toml",
                "dir = \"/etc/roadlake/broker/\"".to_owned(),
                format!("dir = \"{}\"", folder.display()),
            ),
            ("rmqtt.toml", "\"/etc/roadlake/broker/".to_owned(), format!("\"{}/", certificates.display())),
            ("rmqtt-cluster-raft.toml", sample("5363"), list(|a| a.rpc)),
            ("rmqtt-cluster-raft.toml", sample("6003"), list(|a| a.raft)),
            ("rmqtt-cluster-raft.toml", "\"0.0.0.0:6003\"".to_owned(), quoted(&own.raft)),
        ];
        for name in ["rmqtt.toml", "rmqtt-cluster-raft.toml", "rmqtt-retainer.toml"] {
            let mut text = fs::read_to_string(root().join("configs/brokers/rmqtt").join(name)).unwrap();
            for (_, from, to) in changes.iter().filter(|(of, ..)| *of == name) {
                assert!(text.contains(from), "{name} has no {from}");
                text = text.replace(from, to);
            }
            fs::write(folder.join(name), text).unwrap();
        }
    }

    fn run(&mut self, place: usize, start: Start) {
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| {
            panic!("{PROGRAM} is not set; scripts/test-cluster builds it and runs this test")
        });
        let mut command = Command::new(program);
        command.arg("--config").arg(self.node_folder(place).join("rmqtt.toml"));
        command.arg("--acl").arg(root().join("configs/brokers/mosquitto.acl"));
        command.arg("--id").arg((place + 1).to_string());
        command.arg("--health").arg(self.addresses[place].http.to_string());
        if start == Start::Form {
            command.arg("--form");
        }
        let name = format!("rmqtt-{}", place + 1);
        self.nodes[place] = Some(Program::start(&name, &self.folder, command));
    }

    /// Where clients reach a node.
    pub fn mqtt(&self, place: usize) -> SocketAddr {
        self.addresses[place].mqtt
    }

    /// kill -9.
    pub fn kill(&mut self, place: usize) {
        self.nodes[place].take().unwrap().kill();
    }

    /// Ends it as an operator does.
    pub async fn end(&mut self, place: usize) {
        let mut node = self.nodes[place].take().unwrap();
        node.terminate();
        node.ended().await;
    }

    /// Starts a node, as often as it takes, until it is of the cluster.
    pub async fn start_again(&mut self, place: usize) {
        self.run(place, Start::Join);
        let mut running: Vec<usize> = (0..NODES).filter(|i| self.nodes[*i].is_some()).collect();
        running.sort_unstable();
        within(&format!("node {} joins", place + 1), async {
            while self.view().await.is_none_or(|view| !view.members.iter().eq(&running)) {
                if !self.nodes[place].as_mut().unwrap().is_running() {
                    self.starts_in_vain += 1;
                    self.run(place, Start::Join);
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    }

    /// Waits until these nodes, and no others, are of one cluster; who leads it.
    pub async fn agreed(&self, places: &[usize]) -> usize {
        let wanted: BTreeSet<usize> = places.iter().copied().collect();
        within(&format!("nodes {places:?} agree"), async {
            loop {
                match self.view().await {
                    Some(view) if view.members == wanted && wanted.contains(&view.leader) => {
                        return view.leader;
                    }
                    _ => tokio::time::sleep(LOOK).await,
                }
            }
        })
        .await
    }

    /// What all running nodes say of themselves, unless they differ or one does not answer.
    async fn view(&self) -> Option<View> {
        let mut members = BTreeSet::new();
        let mut leaders = BTreeSet::new();
        for place in (0..NODES).filter(|i| self.nodes[*i].is_some()) {
            let address = self.addresses[place].http;
            let answer = tokio::task::spawn_blocking(move || try_http_get(address, "/health")).await.unwrap();
            let (status, body) = answer.ok()?;
            let health: serde_json::Value = serde_json::from_str(&body).ok()?;
            if status != 200 || health["running"] != true {
                return None;
            }
            leaders.insert(usize::try_from(health["leader_id"].as_u64()?).unwrap().checked_sub(1)?);
            members.insert(place);
        }
        let [leader] = leaders.into_iter().collect::<Vec<_>>()[..] else { return None };
        Some(View { leader, members })
    }
}
