//! The TLS side of the uplink: rustls with ring, files in PEM.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use wire::{ids::VehicleId, time::Timestamp};

use super::x509::{self, CertificateFacts};

/// The files of a TLS connection. The certificate's common name is the vehicle id.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The authority that signed the broker's certificate.
    pub ca_file: PathBuf,
    /// The vehicle's own certificate chain and key, when the broker asks for them.
    pub client: Option<ClientCertificate>,
}

/// Who the vehicle is.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Certificate chain.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// Why the files make no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is not there or no PEM of its kind.
    #[error("cannot read {what} from {path}; it must be a PEM file")]
    File {
        /// What was looked for.
        what: &'static str,
        /// In which file.
        path: PathBuf,
        /// Why.
        source: Box<rustls::pki_types::pem::Error>,
    },
    /// A new certificate that is past its end.
    #[error("the vehicle's certificate expired at {not_after}; get a new one")]
    Expired {
        /// When.
        not_after: Timestamp,
    },
    /// A new certificate of somebody else.
    #[error("the certificate is made out to {found:?}; its common name must be {vehicle_id}")]
    OtherName {
        /// To whom it is made out.
        found: String,
        /// Who this is.
        vehicle_id: VehicleId,
    },
    /// Certificates and keys that do not fit.
    #[error("the TLS files do not fit together")]
    Unusable(#[from] rustls::Error),
}

impl TlsSettings {
    /// Reads the files.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("CA certificates", &self.ca_file)? {
            roots.add(certificate)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let chain = certificates("the vehicle's certificate", &client.cert_file)?;
                let key = PrivateKeyDer::from_pem_file(&client.key_file)
                    .map_err(|e| file_error("the vehicle's private key", &client.key_file, e))?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        Ok(Arc::new(config))
    }

    /// What the vehicle's own certificate says, when it has one that can be read.
    pub(super) fn own_facts(&self) -> Result<Option<CertificateFacts>, TlsError> {
        let Some(client) = &self.client else { return Ok(None) };
        let chain = certificates("the vehicle's certificate", &client.cert_file)?;
        Ok(chain.first().and_then(|der| x509::facts(der)))
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| file_error(what, path, e))
}

fn file_error(what: &'static str, path: &Path, source: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File { what, path: path.to_owned(), source: Box::new(source) }
}
