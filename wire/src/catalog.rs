//! What the column ids of a vehicle's batches mean, named by a hash the batches carry.

use prost::Message;
use sha2::{Digest, Sha256};

use crate::{batch::Table, ids::CatalogHash, proto};

/// The version this crate writes.
pub const CATALOG_VERSION: u32 = 1;
/// Largest encoded catalogue: what brokers let through.
pub const CATALOG_BYTES_MAX: usize = 256 * 1024;

/// The meaning of every column id of one agent's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// The VSS release its paths are of.
    pub vss_release: String,
    /// Sorted by `column_id`, each id once.
    pub columns: Vec<ColumnDef>,
}

/// How a column's values travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Raw integers, scaled by the catalogue.
    Raw,
    /// Floating-point values.
    Number,
    /// Texts.
    Text,
}

/// The meaning of one column id.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    /// The id batches use.
    pub column_id: u32,
    /// Where its samples go.
    pub table: Table,
    /// VSS path; for diagnostics the column of that table.
    pub signal: String,
    /// Unit of the scaled value, as VSS writes it.
    pub unit: String,
    /// `value = raw * scale + offset`.
    pub scale: f64,
    /// `value = raw * scale + offset`.
    pub offset: f64,
    /// How values travel.
    pub kind: ValueKind,
    /// Names of raw values, sorted by value.
    pub labels: Vec<(i64, String)>,
}

/// Why bytes are no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum DecodeCatalogError {
    /// Over [`CATALOG_BYTES_MAX`].
    #[error("catalogue of {0} bytes is over the limit of {CATALOG_BYTES_MAX}")]
    TooLarge(usize),
    /// Not protobuf of the message.
    #[error("catalogue is not protobuf of its message")]
    Protobuf(#[source] prost::DecodeError),
    /// A version this crate does not read.
    #[error("catalogue version {0} is not known to this release (it reads {CATALOG_VERSION})")]
    Version(u32),
    /// Parts that contradict each other.
    #[error("malformed catalogue: {0}")]
    Malformed(&'static str),
}

impl ColumnDef {
    /// The value of a raw integer, in [`ColumnDef::unit`].
    #[allow(clippy::cast_precision_loss, reason = "CAN raw values above 2^53 do not occur with a scale")]
    pub fn scaled(&self, raw: i64) -> f64 {
        raw as f64 * self.scale + self.offset
    }

    /// The name of a raw value, if it has one.
    pub fn label(&self, raw: i64) -> Option<&str> {
        let i = self.labels.binary_search_by_key(&raw, |(value, _)| *value).ok()?;
        self.labels.get(i).map(|(_, text)| text.as_str())
    }
}

impl Catalog {
    /// The bytes of a `catalog` message.
    pub fn encode(&self) -> Vec<u8> {
        let columns = self.columns.iter().map(|c| proto::ColumnDef {
            column_id: c.column_id,
            table: c.table.to_proto(),
            signal: c.signal.clone(),
            unit: c.unit.clone(),
            scale: c.scale,
            offset: c.offset,
            kind: match c.kind {
                ValueKind::Raw => proto::ValueKind::Raw,
                ValueKind::Number => proto::ValueKind::Number,
                ValueKind::Text => proto::ValueKind::Text,
            } as i32,
            labels: c
                .labels
                .iter()
                .map(|(value, text)| proto::Label { value: *value, text: text.clone() })
                .collect(),
        });
        let message = proto::SignalCatalog {
            version: CATALOG_VERSION,
            vss_release: self.vss_release.clone(),
            columns: columns.collect(),
        };
        message.encode_to_vec()
    }

    /// Reads the bytes of a `catalog` message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeCatalogError> {
        if bytes.len() > CATALOG_BYTES_MAX {
            return Err(DecodeCatalogError::TooLarge(bytes.len()));
        }
        let message = proto::SignalCatalog::decode(bytes).map_err(DecodeCatalogError::Protobuf)?;
        if message.version != CATALOG_VERSION {
            return Err(DecodeCatalogError::Version(message.version));
        }
        let columns: Vec<ColumnDef> =
            message.columns.into_iter().map(ColumnDef::from_proto).collect::<Result<_, _>>()?;
        if columns.windows(2).any(|w| w[0].column_id >= w[1].column_id) {
            return Err(DecodeCatalogError::Malformed("column ids do not rise"));
        }
        Ok(Self { vss_release: message.vss_release, columns })
    }

    /// The name batches carry: the first 16 bytes of the SHA-256 of the encoded catalogue.
    pub fn hash(&self) -> CatalogHash {
        hash_of(&self.encode())
    }

    /// The definition of a column id.
    pub fn column(&self, column_id: u32) -> Option<&ColumnDef> {
        self.columns.get(self.position(column_id)?)
    }

    /// The place of a column id among [`Catalog::columns`].
    pub fn position(&self, column_id: u32) -> Option<usize> {
        // Agents count them from 0.
        let guess = usize::try_from(column_id).ok()?;
        if self.columns.get(guess).is_some_and(|c| c.column_id == column_id) {
            return Some(guess);
        }
        self.columns.binary_search_by_key(&column_id, |c| c.column_id).ok()
    }
}

/// The name of an encoded catalogue.
pub fn hash_of(encoded: &[u8]) -> CatalogHash {
    let digest = Sha256::digest(encoded);
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    CatalogHash(uuid::Uuid::from_bytes(bytes))
}

impl ColumnDef {
    fn from_proto(message: proto::ColumnDef) -> Result<Self, DecodeCatalogError> {
        let labels: Vec<(i64, String)> = message.labels.into_iter().map(|l| (l.value, l.text)).collect();
        if labels.windows(2).any(|w| w[0].0 >= w[1].0) {
            return Err(DecodeCatalogError::Malformed("labels do not rise"));
        }
        let kind = match proto::ValueKind::try_from(message.kind) {
            Ok(proto::ValueKind::Raw) => ValueKind::Raw,
            Ok(proto::ValueKind::Number) => ValueKind::Number,
            Ok(proto::ValueKind::Text) => ValueKind::Text,
            _ => return Err(DecodeCatalogError::Malformed("column of an unknown kind")),
        };
        Ok(Self {
            column_id: message.column_id,
            table: Table::from_proto(message.table)
                .ok_or(DecodeCatalogError::Malformed("column for an unknown table"))?,
            signal: message.signal,
            unit: message.unit,
            scale: message.scale,
            offset: message.offset,
            kind,
            labels,
        })
    }
}
