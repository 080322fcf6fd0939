//! Keys of 32 bytes, in files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use wire::signature::BatchSigner;

use super::StartError;

/// A key of 32 bytes, written as 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("cannot read key {path}; it must be 64 hexadecimal digits")]
pub(crate) struct KeyError {
    path: PathBuf,
    source: Option<io::Error>,
}

pub(crate) fn read_key(path: &Path) -> Result<[u8; 32], KeyError> {
    let refused = |source| KeyError { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(|e| refused(Some(e)))?;
    let digits = text.trim();
    let mut key = [0_u8; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(refused(None));
    }
    for (i, byte) in key.iter_mut().enumerate() {
        let pair = digits.get(2 * i..2 * i + 2).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).map_err(|_| refused(None))?;
    }
    Ok(key)
}

pub(crate) fn read_signing_key(path: &Path) -> Result<BatchSigner, StartError> {
    let key = read_key(path).map_err(|KeyError { path, source }| StartError::SigningKey { path, source })?;
    Ok(BatchSigner::from_secret(&key))
}
