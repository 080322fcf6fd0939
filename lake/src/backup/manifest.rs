//! What a copy says of itself: its tables, the files of each, and what belongs to it besides.

use serde::{Deserialize, Serialize};

use super::{CATALOGS, LOGS};

/// A file that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name from the table's folder, or the copy's.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of them, in hexadecimal digits.
    pub sha256: String,
}

/// A table in a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCopy {
    /// Its name.
    pub table: String,
    /// The version it was at.
    pub version: i64,
    /// Its rows, where the log tells of every file.
    pub rows: Option<u64>,
    /// The end of its log: a checkpoint and what came after it, or all.
    pub log: Vec<Part>,
    /// Its data files.
    pub files: Vec<Part>,
}

/// What a copy is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How it is written.
    pub format: u32,
    /// Its name: when it was begun.
    pub id: String,
    /// The same, as a time.
    pub made_at: String,
    /// The release that made it.
    pub release: String,
    /// The lake it is of.
    pub lake: String,
    /// What else belongs to it, such as the api's database, from the copy's folder.
    pub others: Vec<Part>,
    /// The tables there were.
    pub tables: Vec<TableCopy>,
    /// Signal catalogues.
    pub catalogs: Vec<Part>,
}

impl Manifest {
    /// Bytes of all it is made of.
    pub fn bytes(&self) -> u64 {
        let of_tables = self.tables.iter().flat_map(|table| table.log.iter().chain(&table.files));
        of_tables.chain(&self.catalogs).chain(&self.others).map(|part| part.bytes).sum()
    }

    /// The shared files it needs, from `files/`.
    pub(super) fn shared(&self) -> impl Iterator<Item = (String, &Part)> {
        let of_tables = self.tables.iter().flat_map(|table| {
            table.files.iter().map(|part| (format!("{}/{}", table.table, part.path), part))
        });
        of_tables.chain(self.catalogs.iter().map(|part| (format!("{CATALOGS}/{}", part.path), part)))
    }

    /// The files of its own, from its folder.
    pub(super) fn own(&self) -> impl Iterator<Item = (String, &Part)> {
        let logs = self.tables.iter().flat_map(|table| {
            table.log.iter().map(|part| (format!("{LOGS}/{}/{}", table.table, part.path), part))
        });
        logs.chain(self.others.iter().map(|part| (part.path.clone(), part)))
    }
}
