//! Roadlake.
fn main(){}
