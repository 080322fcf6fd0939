//! `roadlake serve`: everything behind the vehicles, until it is told to stop.

use std::net::SocketAddr;

use service::{Tasks, clock::SystemClock};

use crate::{place::PlaceArguments, stack::Stack};

/// What `roadlake serve` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// Address of the embedded MQTT broker; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    mqtt_listen: Option<SocketAddr>,
    /// Address of the api and the console; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address for psql, Grafana and other clients of Postgres; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    postgres_listen: Option<SocketAddr>,
    /// Address for ADBC, JDBC and other clients of Arrow Flight SQL; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    flight_listen: Option<SocketAddr>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut loaded = arguments.place.load()?;
    if let Some(listen) = arguments.mqtt_listen {
        loaded.config.ingest.broker.embedded_listen = listen.to_string();
    }
    if let Some(listen) = arguments.listen {
        loaded.config.api.listen = listen.to_string();
    }
    if let Some(listen) = arguments.postgres_listen {
        loaded.config.analytics.postgres.listen = listen.to_string();
    }
    if let Some(listen) = arguments.flight_listen {
        loaded.config.analytics.flight.listen = listen.to_string();
    }
    let tasks = Tasks::new();
    let stack = Stack::start(loaded, &tasks, SystemClock::shared()).await?;
    if let Some(address) = stack.ingest.broker_address() {
        println!("mqtt    {address}");
    }
    if let Some(address) = stack.postgres {
        println!("sql     postgresql://{address}/roadlake");
    }
    if let Some(address) = stack.flight {
        println!("flight  grpc://{address}");
    }
    println!("console http://{}", stack.api.addr);
    let outcome = tasks.until_signal().await;
    let stopped = stack.stop().await;
    // Why it ended comes before what ending met.
    outcome?;
    stopped
}
