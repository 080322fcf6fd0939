//! What the vehicle's clock can be believed.

use wire::time::Timestamp;

/// 2026-01-01: a clock that shows less than this is not set, as no agent of this release ran then.
pub const RELEASE_TIME: Timestamp = Timestamp(1_767_225_600_000_000);
