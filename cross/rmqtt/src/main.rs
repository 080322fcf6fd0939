//! A node of a cluster of MQTT brokers, on rmqtt's published crates: TLS listeners that ask for client
//! certificates, Raft between the nodes, retained messages, access by the certificate's common name
//! ([`access`]), and whether all is well by HTTP ([`health`]). Nothing else of rmqtt is in it.
//!
//! The configuration files are rmqtt's own. What this program refuses beside what rmqtt refuses: a
//! listener that takes anybody ([`listener`]), and a cluster that forms itself (`--form`).

mod access;
mod gate;
mod health;
mod listener;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
};

use access::Access;
use anyhow::{Context, Result, bail};
use rmqtt::{
    args::CommandArgs,
    context::{CircuitBreakerConfig, CountBasedWindowConfig, ServerContext, TimeBasedWindowConfig},
    node::Node,
    server::MqttServer,
    utils::{NodeAddr, NodeId},
};
use rmqtt_conf::{CircuitBreaker, Options, Settings};

const USAGE: &str = "\
usage: rmqtt-node --config FILE --acl FILE [--id NUMBER] [--health ADDRESS] [--form]

  --config FILE   rmqtt.toml; the plugins' files are where its plugins.dir says
  --acl FILE      who may publish and subscribe to what, in mosquitto's form
  --id NUMBER     which of the peers this is, in place of the file's node.id
  --health ADDRESS
                  where GET /health and GET /health/cluster are answered: 127.0.0.1:6060
  --form          form a cluster if none of the peers is in one: for the first node ever. Without it
                  the node joins the peers' cluster, or ends with an error when there is none";

/// Of what is said when it is used wrongly.
const EXIT_USAGE: u8 = 64;
/// Where health is answered unless told otherwise.
const HEALTH_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6060);

struct Arguments {
    config: PathBuf,
    acl: PathBuf,
    id: Option<NodeId>,
    health: SocketAddr,
    may_form: bool,
}

/// What of the cluster's own file is needed here.
#[derive(serde::Deserialize)]
struct Peers {
    raft_peer_addrs: Vec<NodeAddr>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("rmqtt-node: {error}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rmqtt-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut parsed = Arguments {
        config: PathBuf::new(),
        acl: PathBuf::new(),
        id: None,
        health: HEALTH_AT,
        may_form: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--config" => parsed.config = value()?.into(),
            "--acl" => parsed.acl = value()?.into(),
            "--id" => parsed.id = Some(value()?.parse().context("--id is a number")?),
            "--health" => parsed.health = value()?.parse().context("--health is an address with a port")?,
            "--form" => parsed.may_form = true,
            other => bail!("unknown argument {other}"),
        }
    }
    for (path, name) in [(&parsed.config, "--config"), (&parsed.acl, "--acl")] {
        // rmqtt passes over a file that is not there, and then listens without TLS.
        if !path.is_file() {
            bail!("{name} {:?} is no file", path.display().to_string());
        }
    }
    Ok(parsed)
}

async fn run(arguments: Arguments) -> Result<()> {
    let access = Access::read(&arguments.acl)?;
    let options = Options {
        cfg_name: Some(arguments.config.display().to_string()),
        node_id: arguments.id,
        ..Options::default()
    };
    let settings =
        Settings::init(options).with_context(|| format!("{} does not fit", arguments.config.display()))?;
    env_logger::Builder::new().filter_level(settings.log.level.to_string().parse()?).init();
    let id = settings.node.id;
    let listeners = listener::of(settings)?;

    let leader_id = leader(settings, arguments.may_form)?;
    let args = CommandArgs { node_id: Some(id), raft_leader_id: Some(leader_id), ..CommandArgs::default() };
    let busy = &settings.node.busy;
    let scx = ServerContext::new()
        .args(args)
        .node(Node::new(id, busy.loadavg, busy.cpuloadavg, busy.update_interval))
        .busy_check_enable(busy.check_enable)
        .busy_handshaking_limit(busy.handshaking)
        .mqtt_max_sessions(settings.mqtt.max_sessions)
        .task_exec_workers(settings.task.exec_workers)
        .task_exec_queue_max(settings.task.exec_queue_max)
        .plugins_config_dir(&settings.plugins.dir)
        .circuit_breaker_config(circuit_breaker(&settings.circuit_breaker))
        .build()
        .await;

    // It would only log that its port is taken.
    let rpc = &settings.rpc;
    drop(
        TcpListener::bind(rpc.server_addr)
            .with_context(|| format!("cannot listen on {}", rpc.server_addr))?,
    );
    scx.node.start_grpc_server(scx.clone(), rpc.server_addr, rpc.reuseaddr, rpc.reuseport);
    rmqtt_cluster_raft::register_named(&scx, "rmqtt-cluster-raft", true, true).await.context("no cluster")?;
    rmqtt_retainer::register_named(&scx, "rmqtt-retainer", true, false).await.context("retained messages")?;
    gate::close(&scx, access).await;

    let mut server = MqttServer::new(scx.clone());
    for listener in listeners {
        let address = listener.laddr;
        let bound = listener.bind().and_then(rmqtt::net::Listener::tls);
        server = server.listener(bound.with_context(|| format!("cannot listen on {address}"))?);
        log::info!("node {id} is of the cluster and listens on {address}");
    }
    let health = health::bind(arguments.health).await?;
    tokio::select! {
        ended = server.build().run() => ended,
        () = health::serve(scx, health) => Ok(()),
    }
}

/// Whom rmqtt is told to be the leader: oneself makes it form a cluster when it finds none, another makes
/// it join whoever leads or fail. "Anybody", its default, makes nodes that start together form one each.
fn leader(settings: &Settings, may_form: bool) -> Result<NodeId> {
    let peers: Peers =
        settings.plugins.load_config("rmqtt-cluster-raft").context("rmqtt-cluster-raft.toml")?;
    let id = settings.node.id;
    if !peers.raft_peer_addrs.iter().any(|peer| peer.id == id) {
        bail!("node {id} is none of raft_peer_addrs in rmqtt-cluster-raft.toml");
    }
    if may_form {
        return Ok(id);
    }
    let other = peers.raft_peer_addrs.iter().find(|peer| peer.id != id);
    other
        .map(|peer| peer.id)
        .context("raft_peer_addrs has no other node to join: --form forms a cluster of one")
}

/// What the file says of it, as the clients of the other nodes take it.
fn circuit_breaker(of: &CircuitBreaker) -> CircuitBreakerConfig {
    let sliding_window_size = of.sliding_window_size;
    let window = if of.sliding_window_type.eq_ignore_ascii_case("CountBased") {
        CountBasedWindowConfig { sliding_window_size }.into()
    } else {
        let sliding_window_duration = of.sliding_window_duration;
        TimeBasedWindowConfig { sliding_window_duration, sliding_window_size }.into()
    };
    CircuitBreakerConfig {
        failure_rate_threshold: of.failure_rate_threshold,
        window,
        minimum_number_of_calls: of.minimum_number_of_calls,
        wait_duration_in_open: of.wait_duration_in_open,
        slow_call_duration_threshold: of.slow_call_duration_threshold,
        slow_call_rate_threshold: of.slow_call_rate_threshold,
        ..CircuitBreakerConfig::default()
    }
}
