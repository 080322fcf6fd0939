//! Nothing to build: it is here so that build-time dependencies are unified too.

fn main() {}
