//! Where a lake is and how it is reached: a folder, or a bucket of an S3-compatible store.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

mod s3;

pub use s3::{S3Config, S3Fault, S3Settings};

/// A lake's address, as configurations and commands write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LakeLocation {
    /// A folder of this machine.
    Folder(PathBuf),
    /// Everything below a prefix of a bucket: `s3://bucket/prefix`.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the keys begin with, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// An address that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no place of a lake: {what}; write a folder, or s3://bucket/prefix")]
pub struct LocationError {
    text: String,
    what: &'static str,
}

/// A lake's address, and the means to reach it.
#[derive(Debug, Clone)]
pub struct LakeSettings {
    /// Where it is.
    pub location: LakeLocation,
    /// How a bucket is reached; unused for a folder.
    pub s3: S3Settings,
}

impl LakeSettings {
    /// Of a folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { location: LakeLocation::Folder(path.into()), s3: S3Settings::default() }
    }

    /// Of an address and the `[s3]` section beside it. The section is checked where it is needed,
    /// so that its key files need not be there for a folder.
    pub fn check(location: LakeLocation, s3: &S3Config) -> Result<Self, Vec<S3Fault>> {
        let s3 = match location {
            LakeLocation::Folder(_) => S3Settings::default(),
            LakeLocation::S3 { .. } => s3.check()?,
        };
        Ok(Self { location, s3 })
    }
}

impl FromStr for LakeLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let fault = |what| LocationError { text: text.to_owned(), what };
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() {
                Err(fault("it is empty"))
            } else {
                Ok(Self::Folder(PathBuf::from(text)))
            };
        };
        if scheme != "s3" {
            return Err(fault("only s3:// is known of URLs"));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(is_name) {
            return Err(fault("the name of a bucket has a-z, 0-9, '.' and '-' only"));
        }
        // What needs no escaping in a URL, and is one thing to every client.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '=');
        let prefix = prefix.trim_end_matches('/');
        let is_segment =
            |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(is_plain);
        if !prefix.is_empty() && !prefix.split('/').all(is_segment) {
            return Err(fault("parts of the prefix have letters, digits, '.', '-', '_' and '=' only"));
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl TryFrom<String> for LakeLocation {
    type Error = LocationError;

    fn try_from(text: String) -> Result<Self, LocationError> {
        text.parse()
    }
}

impl From<LakeLocation> for String {
    fn from(location: LakeLocation) -> Self {
        location.to_string()
    }
}

impl fmt::Display for LakeLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_buckets_are_told_apart_and_written_back() {
        let folder: LakeLocation = "data/lake".parse().unwrap();
        assert_eq!(folder, LakeLocation::Folder("data/lake".into()));
        let bucket: LakeLocation = "s3://fleet-lake/eu/prod/".parse().unwrap();
        assert_eq!(bucket, LakeLocation::S3 { bucket: "fleet-lake".into(), prefix: "eu/prod".into() });
        for text in ["data/lake", "/srv/lake", "s3://fleet-lake/eu/prod", "s3://fleet-lake"] {
            assert_eq!(text.parse::<LakeLocation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_write() {
        for text in [
            "",
            "gs://b/p",
            "file:///srv",
            "s3://",
            "s3:///p",
            "s3://B/p",
            "s3://b//p",
            "s3://b/../p",
            "s3://b/p?x",
        ] {
            let message = text.parse::<LakeLocation>().unwrap_err().to_string();
            assert!(message.contains("s3://bucket/prefix"), "{message}");
        }
    }

    #[test]
    fn a_folder_needs_no_keys() {
        let s3 = S3Config { access_key_id_file: Some("nowhere".into()), ..S3Config::default() };
        assert!(LakeSettings::check("lake".parse().unwrap(), &s3).is_ok());
        let faults = LakeSettings::check("s3://lake".parse().unwrap(), &s3).unwrap_err();
        assert!(faults.iter().any(|f| f.key == "s3.secret_access_key_file"), "{faults:?}");
    }
}
