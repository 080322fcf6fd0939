//! Making a small authority for a fleet that has none: `api ca init`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use service::files;
use wire::time::{DAY_US, Timestamp};

use super::{BEHIND_US, since_1970};

/// The certificate's file.
pub const CERT_FILE: &str = "ca.pem";
/// The key's, for the api's eyes alone.
pub const KEY_FILE: &str = "ca-key.pem";
/// RFC 5280, appendix A.1 (`ub-common-name`).
const NAME_LEN_MAX: usize = 64;
/// About a hundred years.
const DAYS_MAX: i64 = 36_500;

/// Why no authority was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A name that a certificate cannot have.
    #[error("--name must be 1 to 64 characters")]
    Name,
    /// An end that makes no sense.
    #[error("--days must be 1 to 36500")]
    Days,
    /// There is one.
    #[error("{0} is there; an authority is never written over, take another --dir")]
    There(PathBuf),
    /// The folder or a file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No randomness.
    #[error("cannot make a key and sign with it")]
    Sign(#[from] rcgen::Error),
}

/// Makes `ca.pem` and `ca-key.pem` in a folder: ECDSA on P-256 (NIST SP 800-57, part 1, table 2: 128 bits of
/// security), for certificates of units directly below it (path length 0) and lists of revoked ones. Returns the paths.
pub fn make(dir: &Path, (name, days): (&str, i64), now: Timestamp) -> Result<(PathBuf, PathBuf), InitError> {
    if !(1..=NAME_LEN_MAX).contains(&name.chars().count()) {
        return Err(InitError::Name);
    }
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(InitError::Days);
    }
    let (cert, key_path) = (dir.join(CERT_FILE), dir.join(KEY_FILE));
    for path in [&cert, &key_path] {
        if path.exists() {
            return Err(InitError::There(path.clone()));
        }
    }
    let write = |path: &Path| {
        let path = path.to_owned();
        move |source| InitError::Write { path, source }
    };
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(now.plus_us(-BEHIND_US));
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(now.plus_us(days * DAY_US));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;

    fs::create_dir_all(dir).map_err(write(dir))?;
    // By a link, which fails where there is one: two at once do not make a pair of two.
    put(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
    put(&cert, certificate.pem().as_bytes(), 0o644)?;
    files::sync_folder_of(&cert).map_err(write(dir))?;
    Ok((cert, key_path))
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), InitError> {
    let write = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => InitError::There(path.to_owned()),
        _ => InitError::Write { path: path.to_owned(), source },
    };
    let unfinished = files::prepare(path, bytes, mode).map_err(write)?;
    let put = fs::hard_link(&unfinished, path).map_err(write);
    fs::remove_file(&unfinished).map_err(write)?;
    put
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::devices::authority::Authority;

    #[test]
    fn an_authority_is_made_once_and_serves() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("pki");
        let now = Timestamp::parse("2026-11-23T12:00:00Z").unwrap();
        let (cert, key) = make(&dir, ("Fleet", 10), now).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        let authority = Authority::open(&cert, &key, None).unwrap();
        assert_eq!(authority.subject(), "CN=Fleet");
        assert_eq!(authority.not_after().to_string(), "2026-12-03T12:00:00Z");
        let text = fs::read_to_string(&key).unwrap();
        assert!(!format!("{authority:?}").contains(text.lines().nth(1).unwrap()));
        let again = make(&dir, ("Other", 10), now).unwrap_err().to_string();
        assert!(again.contains("never written over"), "{again}");
        assert_eq!(fs::read_to_string(&key).unwrap(), text);
        for (name, days) in [("", 10), ("x", 0), ("x", 36_501)] {
            assert!(make(&folder.path().join("b"), (name, days), now).is_err());
        }
        assert!(!folder.path().join("b").exists());
    }
}
