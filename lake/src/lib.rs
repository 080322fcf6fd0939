//! The format at rest: the Delta tables of a lake and every rule of writing them.
//!
//! Owns: table schemas ([`schema`]) and how files keep them ([`stored`]), writer settings ([`writer`]) and table properties
//! ([`properties`]), where a lake is ([`location`]), opening, reading and committing tables ([`store`],
//! [`table`]), whose rows and of which time versions added ([`touched`]), which batches are already
//! in ([`watermark`]), naming some vehicles of a fleet ([`whose`]), the files of a commit (`files`) and
//! what of them a power cut spares (`durable`), taking a share over from another writer ([`claim`]), keeping tables in order
//! ([`maintenance`]), proving that every batch is in once
//! ([`audit`]), the stored signal catalogues ([`catalogs`]), and copies of all of it ([`backup`]). It is the only crate that names `deltalake`. It does not
//! decode batches (ingest) nor derive anything (analytics).
//!
//! A write goes [`table::LakeTable::append`]: one Delta commit with an application transaction,
//! read and written on the same snapshot, so that a second writer of the same `app_id` is
//! refused. A reader goes [`table::LakeTable::provider`] (SQL) or [`table::LakeTable::changes`]
//! (what each version added, in order).
//!
//! A lake is a folder or a prefix of an S3 bucket ([`location`], [`store`]). Layout: one folder a table
//! under the root, partitioned by `date`, and `catalogs/`.

pub mod audit;
pub mod backup;
pub mod catalogs;
pub mod claim;
mod durable;
mod files;
pub mod location;
pub mod maintenance;
pub mod properties;
pub mod schema;
pub mod store;
pub mod stored;
pub mod table;
pub mod touched;
pub mod watermark;
pub mod whose;
pub mod writer;

pub use location::{LakeLocation, LakeSettings, S3Config};
pub use schema::TableKind;
pub use store::{Lake, OpenLakeError};
pub use table::{AppTransaction, Change, CommitError, CommitMark, LakeTable, ReadError};
pub use touched::Touched;
pub use whose::Whose;
