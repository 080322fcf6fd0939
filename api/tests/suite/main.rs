//! The api from outside: over HTTP on a real port, and its follower against a lake that can be
//! cut off at any point.

mod billing;
mod client;
mod fake_lake;
mod follow;
mod manners;
mod resources;
mod server;
