//! What can go wrong in a domain, blind to HTTP.

use serde::Serialize;
use utoipa::ToSchema;
use wire::time::Timestamp;

use crate::{db::DbError, lake_port::LakeError};

/// What a caller may branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be done as written.
    Invalid,
    /// The thing named does not exist.
    NotFound,
    /// The state of the thing does not allow it.
    Conflict,
    /// The caller saw an older version of the thing.
    Stale,
    /// The caller may not.
    Denied,
    /// The caller has not proven who they are.
    Unproven,
    /// Later it may work.
    Busy,
    /// Our fault.
    Internal,
}

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Where: a path such as `elements[0].components[1].price`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Why a domain refused.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// The request has faults, all of them listed.
    #[error("{what} cannot be accepted: {}", .faults.iter().map(|f| format!("{}: {}", f.field, f.message)).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// What was sent.
        what: &'static str,
        /// Everything wrong with it.
        faults: Vec<Fault>,
    },
    /// There is no such thing.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// By which id.
        id: String,
    },
    /// The state of the thing does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// New bookings are refused until something is paid.
    #[error("{0}")]
    Suspended(String),
    /// What should prove who asks does not.
    #[error("{0}")]
    Unproven(&'static str),
    /// Too much is asked at once.
    #[error("{0}; repeat it in a moment")]
    Busy(&'static str),
    /// The thing has changed since the caller read it.
    #[error("{what} {id:?} is at version {current} now, not {expected}; read it again and repeat the change")]
    Stale {
        /// What was to be changed.
        what: &'static str,
        /// Its id.
        id: String,
        /// The version it has.
        current: i64,
        /// The version the caller named.
        expected: i64,
    },
    /// The database failed.
    #[error("database operation failed")]
    Db(#[from] DbError),
    /// The lake could not answer.
    #[error("lake query failed")]
    Lake(#[from] LakeError),
    /// Something stored does not read as what it should be.
    #[error("stored {what} {id:?} is not readable")]
    Stored {
        /// What was read.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A key could not be made or hashed.
    #[error("no randomness, memory or thread for an API key")]
    Key,
    /// A document could not be set.
    #[error("the document cannot be printed: {0}")]
    Printing(String),
    /// The authority could not sign.
    #[error("no signature by the certificate authority")]
    Signing,
    /// A figure that does not fit.
    #[error("rating failed")]
    Rating(#[from] crate::billing::RatingError),
}

impl DomainError {
    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } => Kind::Invalid,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Conflict(_) | Self::Suspended(_) => Kind::Conflict,
            Self::Unproven(_) => Kind::Unproven,
            Self::Busy(_) => Kind::Busy,
            Self::Stale { .. } => Kind::Stale,
            Self::Db(e) => e.kind(),
            Self::Lake(e) => e.kind.as_kind(),
            Self::Stored { .. } | Self::Key | Self::Printing(_) | Self::Signing | Self::Rating(_) => {
                Kind::Internal
            }
        }
    }

    /// A refusal for one fault.
    pub fn invalid(what: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self::Invalid { what, faults: vec![Fault { field: field.to_owned(), message: message.into() }] }
    }

    /// No such thing.
    pub fn not_found(what: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound { what, id: id.into() }
    }
}

impl From<sqlx::Error> for DomainError {
    fn from(source: sqlx::Error) -> Self {
        Self::Db(DbError::Query(source))
    }
}

/// Collects the faults of a request.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { field: field.into(), message: message.into() });
    }

    pub(crate) fn require(&mut self, holds: bool, field: &str, message: &str) {
        if !holds {
            self.add(field, message);
        }
    }

    /// A time that a field has to be; none, with its fault, where it is not.
    pub(crate) fn time(&mut self, field: &str, text: &str) -> Option<Timestamp> {
        let time = Timestamp::parse(text);
        time.map_err(|e| self.add(field, format!("{e}; write one such as 2026-11-24T08:00:00Z"))).ok()
    }

    /// `[from, to)` of a query, where an end that is not named is open.
    pub(crate) fn period_us(&mut self, from: Option<&str>, to: Option<&str>) -> (i64, i64) {
        let mut time = |field, text: Option<&str>| text.and_then(|text| self.time(field, text)).map(|t| t.0);
        (time("from", from).unwrap_or(i64::MIN), time("to", to).unwrap_or(i64::MAX))
    }

    /// What was found elsewhere too.
    pub(crate) fn append(&mut self, mut found: Self) {
        self.0.append(&mut found.0);
    }

    pub(crate) fn finish(self, what: &'static str) -> Result<(), DomainError> {
        if self.0.is_empty() { Ok(()) } else { Err(DomainError::Invalid { what, faults: self.0 }) }
    }
}
