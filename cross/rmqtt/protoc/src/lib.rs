//! Where build scripts find a protobuf compiler.

use std::path::PathBuf;

/// `$PROTOC`, which `cross/rmqtt/build` sets, or the one on the path.
#[must_use]
pub fn protoc() -> PathBuf {
    std::env::var_os("PROTOC").map_or_else(|| PathBuf::from("protoc"), PathBuf::from)
}
