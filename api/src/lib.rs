//! REST in business domains
