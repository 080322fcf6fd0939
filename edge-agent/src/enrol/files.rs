//! The files of an identity, put in place together.
//!
//! What they are to become is written beside them first (`.new`), the certificate last, and then renamed, the key last.
//! So a unit that dies in between can tell what is left to do: a new key that fits a new certificate, or the one in
//! place, is put in place too. A key is kept before it is asked for: when the answer is lost, the same is asked again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use service::files;
use wire::time::Timestamp;

use crate::{
    config::UplinkConfig,
    uplink::x509::{self, CertificateFacts},
};

/// For its owner alone.
const SECRET: u32 = 0o600;
/// For everybody.
const PUBLIC: u32 = 0o644;

/// Why the files are not in place.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// No place for one of them.
    #[error("uplink.{0} is not set in the configuration; say where it is to be")]
    NoPlace(&'static str),
    /// One cannot be read or written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No key can be made.
    #[error("cannot make a key")]
    Key(#[from] rcgen::Error),
}

/// Where the files of an identity are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub(super) cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
    /// What renewals need to know.
    told: PathBuf,
}

/// What renewals need to know, kept beside the certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    /// The api.
    pub(super) api: String,
    /// The authority that it is known by, if not one of the system's.
    pub(super) api_ca_file: Option<PathBuf>,
    /// From when to renew.
    pub(super) renew_after: Timestamp,
}

impl Files {
    /// By the agent's configuration.
    pub fn of(config: &UplinkConfig) -> Result<Self, FilesError> {
        let place = |path: &Option<PathBuf>, key| path.clone().ok_or(FilesError::NoPlace(key));
        let cert = place(&config.cert_file, "cert_file")?;
        let mut told = cert.clone().into_os_string();
        told.push(".enrolment");
        Ok(Self {
            key: place(&config.key_file, "key_file")?,
            ca: place(&config.ca_file, "ca_file")?,
            told: told.into(),
            cert,
        })
    }

    /// Whether there is something to know the broker by.
    pub(super) fn has_ca(&self) -> bool {
        self.ca.is_file()
    }

    /// What the certificate in place says.
    pub(super) fn facts(&self) -> Option<CertificateFacts> {
        facts_of(&self.cert)
    }

    pub(super) fn told(&self) -> Option<Told> {
        serde_json::from_slice(&fs::read(&self.told).ok()?).ok()
    }

    /// Puts in place what a unit that died meanwhile has not.
    pub fn finish(&self) -> Result<bool, FilesError> {
        let Some(key) = self.pending_key() else { return Ok(false) };
        let fits = |path: &Path| {
            facts_of(path).is_some_and(|facts| facts.public_key == key.subject_public_key_info())
        };
        if !fits(&files::unfinished(&self.cert)) && !fits(&self.cert) {
            return Ok(false);
        }
        self.put_in_place()?;
        Ok(true)
    }

    /// The key to ask for a certificate of: one that was asked for already, or a new one.
    pub(super) fn key_to_ask_for(&self) -> Result<KeyPair, FilesError> {
        if let Some(key) = self.pending_key() {
            return Ok(key);
        }
        let key = KeyPair::generate()?;
        self.prepare(&self.key, key.serialize_pem().as_bytes(), SECRET)?;
        Ok(key)
    }

    fn pending_key(&self) -> Option<KeyPair> {
        KeyPair::from_pem(&fs::read_to_string(files::unfinished(&self.key)).ok()?).ok()
    }

    /// Puts everything in place: all of it or, as far as anybody sees who looks at whole pairs, nothing.
    pub(super) fn install(
        &self,
        (certificate_pem, ca_pem): (&str, Option<&str>),
        told: &Told,
    ) -> Result<(), FilesError> {
        match ca_pem {
            Some(ca_pem) => self.prepare(&self.ca, ca_pem.as_bytes(), PUBLIC)?,
            // What an attempt of before has left is not of this one.
            None => files::remove(&files::unfinished(&self.ca)).map_err(write(&self.ca))?,
        }
        let text = serde_json::to_vec_pretty(told).unwrap_or_default();
        self.prepare(&self.told, &text, PUBLIC)?;
        self.prepare(&self.cert, certificate_pem.as_bytes(), PUBLIC)?;
        self.put_in_place()
    }

    fn put_in_place(&self) -> Result<(), FilesError> {
        for path in [&self.ca, &self.told, &self.cert, &self.key] {
            match fs::rename(files::unfinished(path), path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write(path)(error)),
                _ => files::sync_folder_of(path).map_err(write(path))?,
            }
        }
        Ok(())
    }

    fn prepare(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FilesError> {
        let unfinished = files::prepare(path, bytes, mode).map_err(write(path))?;
        share(&unfinished).map_err(write(path))
    }
}

fn write(path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    move |source| FilesError::Write { path, source }
}

fn facts_of(path: &Path) -> Option<CertificateFacts> {
    x509::facts(&CertificateDer::from_pem_file(path).ok()?)
}

/// In a folder that one group alone may read (as the package's `/etc/roadlake/certs`, where root writes and the agent
/// reads) a file is for that group too.
pub(super) fn share(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

        let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
            return Ok(());
        };
        let (folder, file) = (fs::metadata(folder)?, fs::metadata(path)?);
        // A folder whose group is the writer's own is nobody else's, unless it gives its group on (setgid).
        let is_anothers = folder.gid() != file.gid() || folder.mode() & 0o2000 != 0;
        if folder.mode() & 0o057 == 0o050 && is_anothers {
            chown(path, None, Some(folder.gid()))?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o640))?;
        }
    }
    Ok(())
}
