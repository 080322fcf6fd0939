//! Making a key pair that signs campaign sets or commands.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use wire::signature::BatchSigner;

/// Why there is no key pair.
#[derive(Debug, thiserror::Error)]
pub enum KeygenError {
    /// Nothing to make a key of.
    #[error("the system gives no random bytes")]
    Random,
    /// A file is there already, or cannot be made.
    #[error("cannot write {path}; keys are never written over")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes an Ed25519 secret key, which its owner alone can read, and the public one beside it with
/// `.pub` added; each is 64 hexadecimal digits. Returns the latter's path.
pub fn make(out: &Path) -> Result<PathBuf, KeygenError> {
    let mut secret = [0_u8; 32];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut secret)
        .map_err(|_| KeygenError::Random)?;
    let public = BatchSigner::from_secret(&secret).public_key();
    let mut public_path = out.to_owned().into_os_string();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    for (path, key, mode) in [(out, &secret, 0o600), (&public_path, &public, 0o644)] {
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        write_new(path, &format!("{hex}\n"), mode)
            .map_err(|source| KeygenError::Write { path: path.to_owned(), source })?;
    }
    Ok(public_path)
}

/// Writes a file that is not there yet, for these readers alone.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)?.write_all(text.as_bytes())
}
