//! Exactly once, whatever dies: each test does something bad to a part of the way from the
//! vehicle's disk to the lake, and compares the lake with that of an undisturbed run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

#[path = "support/content.rs"]
mod content;
#[path = "support/fault_proxy.rs"]
mod fault_proxy;
#[path = "faults/fleet.rs"]
mod fleet;
#[path = "faults/listener.rs"]
mod listener;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/pipeline.rs"]
mod pipeline;
#[path = "support/programs.rs"]
mod programs;

#[path = "faults/brokers.rs"]
mod brokers;
#[path = "faults/commit_instants.rs"]
mod commit_instants;
#[path = "faults/disk_full.rs"]
mod disk_full;
#[path = "faults/links.rs"]
mod links;
#[path = "faults/power_cut.rs"]
mod power_cut;
#[path = "faults/random.rs"]
mod random;
#[path = "faults/redelivery.rs"]
mod redelivery;
#[path = "faults/shards.rs"]
mod shards;
#[path = "faults/vehicles.rs"]
mod vehicles;
