//! Pages: at most so many items and a cursor for the rest.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    fault::DomainError,
    text::{hex, unhex},
};

const LIMIT_DEFAULT: i64 = 50;
/// Most items of a page.
pub(crate) const LIMIT_MAX: i64 = 200;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Give this as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// The limit asked for, checked.
pub(crate) fn limit_of(limit: Option<i64>) -> Result<i64, DomainError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(DomainError::invalid("the query", "limit", format!("must be 1 to {LIMIT_MAX}")))
    }
}

/// Where the page before ended: the sort key and id of its last item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) key: String,
    pub(crate) id: String,
}

impl Cursor {
    /// As it is given out: opaque.
    pub(crate) fn encode(&self) -> String {
        hex(format!("{}\n{}", self.key, self.id).as_bytes())
    }

    /// Reads what was given out; none at all when absent.
    pub(crate) fn decode(text: Option<&str>) -> Result<Option<Self>, DomainError> {
        let Some(text) = text else { return Ok(None) };
        let decoded = unhex(text).and_then(|b| String::from_utf8(b).ok()).filter(|t| !t.contains('\0'));
        let parts = decoded.as_deref().and_then(|t| t.split_once('\n'));
        match parts {
            Some((key, id)) => Ok(Some(Self { key: key.to_owned(), id: id.to_owned() })),
            None => Err(bad_cursor()),
        }
    }

    /// Where a page begins whose items are sorted by a number and then the id, the highest first.
    pub(crate) fn before(text: Option<&str>) -> Result<(i64, String), DomainError> {
        match Self::decode(text)? {
            Some(cursor) => Ok((cursor.key_number()?, cursor.id)),
            None => Ok((i64::MAX, String::new())),
        }
    }

    /// The refusal of one that was never given out.
    pub(crate) fn refused() -> DomainError {
        bad_cursor()
    }

    /// Its key as a number.
    pub(crate) fn key_number(&self) -> Result<i64, DomainError> {
        self.key.parse().map_err(|_| bad_cursor())
    }
}

fn bad_cursor() -> DomainError {
    DomainError::invalid("the query", "cursor", "must be the next_cursor of a page before, unchanged")
}

impl<T> Page<T> {
    /// A page of `limit` out of `limit + 1` items read.
    pub(crate) fn of(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> Cursor) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if has_more { items.last().map(|item| cursor(item).encode()) } else { None };
        Self { data: items, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_noise_is_refused() {
        let cursor = Cursor { key: "-5".to_owned(), id: "trp_ü".to_owned() };
        assert_eq!(Cursor::decode(Some(&cursor.encode())).unwrap(), Some(cursor));
        for bad in ["", "zz", "0", "00", "610a00", "ü", "c3"] {
            assert!(Cursor::decode(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
