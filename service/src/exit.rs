//! Exit codes: success is 0, everything else says which kind of failure.

/// A failure at run time.
pub const FAILURE: u8 = 1;
/// Bad command-line arguments (clap's own code).
pub const USAGE: u8 = 2;
/// A configuration that cannot be used (`EX_USAGE` of sysexits).
pub const CONFIG: u8 = 64;
/// Input data that cannot be used (`EX_DATAERR`).
pub const DATA: u8 = 65;
/// A file, folder or port that cannot be used (`EX_NOINPUT`).
pub const UNAVAILABLE: u8 = 66;
/// Another writer owns the same shards, or a stop that did not finish in time.
pub const CONFLICT: u8 = 75;
/// Ended because it was asked to start again; a supervisor does.
pub const RESTART: u8 = 79;
