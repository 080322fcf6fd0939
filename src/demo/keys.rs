//! The keys by which the demo's vehicles know what the api sends them, and the authority that signs for units.

use std::path::{Path, PathBuf};

use anyhow::Context;
use api::devices::authority::init;
use edge_agent::keygen;
use wire::{campaigns::from_hex, signature::BatchVerifier, time::Timestamp};

/// How long the authority is good.
const AUTHORITY_DAYS: i64 = 3650;

/// The secret key of campaign sets; the public one is beside it.
pub(super) fn campaigns(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/campaigns.key")
}

/// The secret key of commands.
pub(super) fn commands(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/commands.key")
}

/// The public key of a secret one.
pub(super) fn public(secret: &Path) -> PathBuf {
    let mut path = secret.as_os_str().to_owned();
    path.push(".pub");
    path.into()
}

/// The authority's folder.
fn authority(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/authority")
}

/// The certificate of the authority that signs the certificates of units.
pub(super) fn authority_cert(data_dir: &Path) -> PathBuf {
    authority(data_dir).join(init::CERT_FILE)
}

/// Its key.
pub(super) fn authority_key(data_dir: &Path) -> PathBuf {
    authority(data_dir).join(init::KEY_FILE)
}

/// Makes the keys and the authority, unless a start before did.
pub(super) fn make(data_dir: &Path, now: Timestamp) -> anyhow::Result<()> {
    for secret in [campaigns(data_dir), commands(data_dir)] {
        if public(&secret).exists() {
            continue;
        }
        let folder = secret.parent().context("a key is in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // A secret key alone is of a start that was cut short: nobody has its public one.
        if secret.exists() {
            std::fs::remove_file(&secret).with_context(|| format!("cannot remove {}", secret.display()))?;
        }
        keygen::make(&secret)?;
    }
    if !authority_cert(data_dir).exists() {
        // Nor has anybody the certificate of a key alone.
        let key = authority_key(data_dir);
        if key.exists() {
            std::fs::remove_file(&key).with_context(|| format!("cannot remove {}", key.display()))?;
        }
        init::make(&authority(data_dir), ("Roadlake demo", AUTHORITY_DAYS), now)?;
    }
    Ok(())
}

/// What knows commands.
pub(super) fn verifier(data_dir: &Path) -> anyhow::Result<BatchVerifier> {
    let path = public(&commands(data_dir));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let key =
        from_hex::<32>(text.trim().as_bytes()).and_then(|bytes| BatchVerifier::from_public(&bytes).ok());
    key.with_context(|| format!("{} is damaged; remove the folder to begin anew", path.display()))
}
