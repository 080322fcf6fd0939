//! Everything on the vehicle.

pub mod frame;
