//! No code: see `unify/Cargo.toml`.
