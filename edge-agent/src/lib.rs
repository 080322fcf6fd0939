//! Everything on the vehicle.

pub mod frame;
pub mod spool;
pub mod dbc;
pub mod decode;
pub mod encode;
pub mod source;
pub mod map;
pub mod cli;
pub mod decode_cli;
pub mod metrics;
pub mod collect;
pub mod uplink;
pub mod simulate;
pub mod agent;
