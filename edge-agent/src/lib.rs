//! Everything on the vehicle: from frames on a bus to batches that are durable in the cloud.
//!
//! Owns: sources, decoding and mapping, what is collected and when, the spool on the vehicle's
//! disk, and the uplink. It knows no lake and no SQL; what a batch is, `wire` says.
//!
//! The way of a [`frame`]: [`source`] yields it (a live bus, a recorded log, or [`simulate`]), or
//! [`poll`] asks for it; [`j1939`] and [`isotp`] put long messages together and hear of [`faults`];
//! [`decode`] reads its signals by a [`dbc`], [`map`] names them by VSS, [`collect`] decides which samples
//! are kept and where a batch ends, [`campaign`] adds what is asked for from afar, [`spool`] keeps
//! the batch on disk, [`uplink`] sends it until a durable ack covers it; [`command`] answers what
//! comes down. [`agent`] starts one vehicle's share of all this; [`encode`] is decoding turned
//! around, for the simulator.
//!
//! Around it: [`config`], [`metrics`], [`mod@unit`] (loopback HTTP, systemd), and the command lines
//! [`cli`], [`decode_cli`], [`campaign_cli`], [`play_cli`], [`run_cli`], [`check_cli`], [`top_cli`], and
//! [`enrol_cli`], by which [`enrol`] gets the unit its certificates.
//!
//! Bounds: one batch a lane in memory, the spool's caps in bytes and age, the uplink's window.
//! When the spool is full a live bus is *shed* by priority and told as gaps; a replay or a
//! simulation is *blocked* instead.

pub mod agent;
pub mod campaign;
pub mod campaign_cli;
pub mod check_cli;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod command;
pub mod command_cli;
pub mod config;
pub mod dbc;
pub mod decode;
pub mod decode_cli;
pub mod ecu_cli;
pub mod encode;
pub mod enrol;
pub mod enrol_cli;
pub mod faults;
pub mod frame;
pub mod isotp;
pub mod j1939;
pub mod keygen;
pub mod map;
pub mod metrics;
pub mod obd;
pub mod play_cli;
pub mod poll;
pub mod run_cli;
pub mod simulate;
pub mod source;
pub mod spool;
pub mod top_cli;
pub mod uds;
pub mod unit;
pub mod uplink;
