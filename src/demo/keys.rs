//! The keys by which the demo's vehicles know what the api sends them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use edge_agent::keygen;
use wire::{campaigns::from_hex, signature::BatchVerifier};

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

/// Makes the keys, unless a start before did.
pub(super) fn make(data_dir: &Path) -> anyhow::Result<()> {
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
