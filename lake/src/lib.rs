//! The format at rest
