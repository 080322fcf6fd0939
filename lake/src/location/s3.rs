//! The `[s3]` section, and the client made of it.
//!
//! Every request has a time limit and few retries: who writes or reads the lake has a retry loop
//! of its own, which can be told to stop and says what it waits for.

use std::{fmt, fs, path::Path, path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, S3ConditionalPut},
};
use serde::{Deserialize, Serialize};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRIES_MAX: usize = 3;
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The section as written. What is left out is taken from the AWS_* environment, then from the
/// machine's role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// URL of the store; that of AWS when it is left out.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// Whether an `http://` endpoint may be used.
    pub allow_http: bool,
    /// File whose first line is the id of the access key.
    pub access_key_id_file: Option<PathBuf>,
    /// File whose first line is the secret of the access key.
    pub secret_access_key_file: Option<PathBuf>,
    /// Whether the bucket is part of the host name.
    pub virtual_hosted_style: bool,
    /// Longest time of one request, such as `"30s"`.
    pub request_timeout: String,
    /// How often one request is tried again.
    pub retries_max: usize,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            allow_http: false,
            access_key_id_file: None,
            secret_access_key_file: None,
            virtual_hosted_style: false,
            request_timeout: humantime::format_duration(REQUEST_TIMEOUT).to_string(),
            retries_max: RETRIES_MAX,
        }
    }
}

/// What is wrong with a key of the section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Fault {
    /// The key.
    pub key: &'static str,
    /// What.
    pub what: String,
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct S3Settings {
    endpoint: Option<String>,
    region: Option<String>,
    allow_http: bool,
    access_key: Option<AccessKey>,
    virtual_hosted_style: bool,
    request_timeout: Duration,
    retries_max: usize,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            allow_http: false,
            access_key: None,
            virtual_hosted_style: false,
            request_timeout: REQUEST_TIMEOUT,
            retries_max: RETRIES_MAX,
        }
    }
}

#[derive(Clone)]
struct AccessKey {
    id: String,
    secret: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl S3Config {
    /// Checks the section and reads its key files; all faults at once.
    pub fn check(&self) -> Result<S3Settings, Vec<S3Fault>> {
        let mut faults = Vec::new();
        let mut fault = |key, what: String| faults.push(S3Fault { key, what });
        if let Some(endpoint) = &self.endpoint {
            let is_http = endpoint.starts_with("http://");
            if !is_http && !endpoint.starts_with("https://") {
                fault(
                    "s3.endpoint",
                    format!("{endpoint:?} is no URL; write one like \"https://s3.example.org\""),
                );
            } else if is_http && !self.allow_http {
                fault(
                    "s3.allow_http",
                    "must be true for an http:// endpoint: keys and data go in the clear".to_owned(),
                );
            }
        }
        let request_timeout = match humantime::parse_duration(&self.request_timeout) {
            Ok(timeout) if !timeout.is_zero() => timeout,
            _ => {
                let what = format!("{:?} is no time; write one like \"30s\"", self.request_timeout);
                fault("s3.request_timeout", what);
                REQUEST_TIMEOUT
            }
        };
        let mut read = |key, file: &Path| first_line(file).map_err(|what| fault(key, what)).ok();
        let access_key = match (&self.access_key_id_file, &self.secret_access_key_file) {
            (Some(id), Some(secret)) => read("s3.access_key_id_file", id)
                .zip(read("s3.secret_access_key_file", secret))
                .map(|(id, secret)| AccessKey { id, secret }),
            (None, None) => None,
            (Some(_), None) => {
                fault("s3.secret_access_key_file", "must be set when access_key_id_file is".to_owned());
                None
            }
            (None, Some(_)) => {
                fault("s3.access_key_id_file", "must be set when secret_access_key_file is".to_owned());
                None
            }
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(S3Settings {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            allow_http: self.allow_http,
            access_key,
            virtual_hosted_style: self.virtual_hosted_style,
            request_timeout,
            retries_max: self.retries_max,
        })
    }
}

fn first_line(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("{} is empty", file.display())),
    }
}

impl S3Settings {
    /// The client of a bucket. A new object is put by `If-None-Match: *`, which is what makes a
    /// Delta commit atomic without a table of locks.
    pub(crate) fn client(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let client = ClientOptions::new()
            .with_timeout(self.request_timeout)
            .with_connect_timeout(CONNECT_TIMEOUT.min(self.request_timeout))
            .with_allow_http(self.allow_http);
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: RETRY_PAUSE_MIN,
                max_backoff: RETRY_PAUSE_MAX,
                ..BackoffConfig::default()
            },
            max_retries: self.retries_max,
            retry_timeout: self.request_timeout.saturating_mul(2),
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_virtual_hosted_style_request(self.virtual_hosted_style)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some(key) = &self.access_key {
            builder = builder.with_access_key_id(&key.id).with_secret_access_key(&key.secret);
        }
        Ok(Arc::new(builder.build()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_by_its_key() {
        let config = S3Config {
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            access_key_id_file: Some("nowhere".into()),
            secret_access_key_file: Some("nowhere".into()),
            request_timeout: "soon".to_owned(),
            ..S3Config::default()
        };
        let keys: Vec<&str> = config.check().unwrap_err().into_iter().map(|fault| fault.key).collect();
        let wanted =
            ["s3.allow_http", "s3.request_timeout", "s3.access_key_id_file", "s3.secret_access_key_file"];
        assert_eq!(keys, wanted);
    }

    #[test]
    fn secrets_are_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (id, secret) = (dir.path().join("id"), dir.path().join("secret"));
        fs::write(&id, "AKIDEXAMPLE\n").unwrap();
        fs::write(&secret, "wJalrXUtnFEMI\n").unwrap();
        let config = S3Config {
            access_key_id_file: Some(id),
            secret_access_key_file: Some(secret),
            region: Some("eu-central-1".to_owned()),
            ..S3Config::default()
        };
        let settings = config.check().unwrap();
        let client = settings.client("lake").unwrap();
        let shown = format!("{settings:?} {config:?} {client:?} {client}");
        assert!(!shown.contains("wJalrXUtnFEMI"), "{shown}");
    }
}
