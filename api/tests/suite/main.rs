//! The api from outside: over HTTP on a real port, and its follower against a lake that can be
//! cut off at any point.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails says where")]

mod billing;
mod client;
mod fake_lake;
mod follow;
mod manners;
mod notes;
mod payments;
mod resources;
mod server;
mod tiers;
mod wallets;
