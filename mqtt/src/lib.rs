//! Connections of the cloud's side to an MQTT broker: how one is reached ([`Broker`]), one as it goes ([`Events`],
//! [`Client`]), and the pause before the next ([`Line`]). The only crate of the cloud's that names rumqttc.
//!
//! A connection is a session of its own, and both of its ends are made anew for each: ends that have lost their
//! connection can go on waiting for the answer to a message of that one, and send nothing any more.

mod broker;
mod connection;
mod line;

pub use broker::{Broker, BrokerKeys, TlsFiles};
pub use connection::{Client, ClientError, Event, Events};
pub use line::{End, Line};
