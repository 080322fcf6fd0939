//! The api from outside: over HTTP on a real port, and its follower against a lake that can be
//! cut off at any point. All of it on a file of SQLite and on a PostgreSQL server alike.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails says where")]
#![allow(clippy::duplicate_mod, reason = "the same tests on either database")]

mod broker;
mod browser;
mod client;
mod fake_lake;
mod fake_rules;
mod place;
mod postgres_server;
mod provider;
mod server;
mod server_lost;

#[path = "."]
mod sqlite {
    pub(crate) type Server = crate::server::ServerOn<crate::place::Sqlite>;

    mod access;
    mod agents;
    mod alerts;
    mod basemap;
    mod billing;
    mod booking_money;
    mod booking_saga;
    mod bookings;
    mod certificates;
    mod commands;
    mod corrections;
    mod devices;
    mod documents;
    mod drivers;
    mod dunning;
    mod follow;
    mod geofences;
    mod groups;
    mod maintenance;
    mod manners;
    mod notes;
    mod payments;
    mod rebuild;
    mod resources;
    mod roles;
    mod sign_in;
    mod sign_in_bearer;
    mod sign_in_sessions;
    mod tiers;
    mod two_writers;
    mod wallets;
    mod webhooks;
}

#[path = "."]
mod postgres {
    pub(crate) type Server = crate::server::ServerOn<crate::place::Postgres>;

    mod access;
    mod agents;
    mod alerts;
    mod basemap;
    mod billing;
    mod booking_money;
    mod booking_saga;
    mod bookings;
    mod certificates;
    mod commands;
    mod corrections;
    mod devices;
    mod documents;
    mod drivers;
    mod dunning;
    mod follow;
    mod geofences;
    mod groups;
    mod maintenance;
    mod manners;
    mod notes;
    mod payments;
    mod rebuild;
    mod resources;
    mod roles;
    mod sign_in;
    mod sign_in_bearer;
    mod sign_in_sessions;
    mod tiers;
    mod two_writers;
    mod wallets;
    mod webhooks;
}
