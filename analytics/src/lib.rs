//! Lake tables and SQL functions, trips, stops, driving events; SQL doors.

pub mod row;
