//! One question to the api, by HTTP over TLS: a `POST` of JSON, and its answer.
//!
//! HTTP 1.0, so that an answer is what comes until the end: no pieces to put together, and every proxy speaks it. In
//! the clear to this machine alone, as a token goes with it. Bounds: 10 s to connect, 30 s of silence, 256 KiB.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::Deserialize;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// Where systems keep the authorities they trust: Debian and Alpine, Red Hat, BSD.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No address of an api.
    #[error("{0:?} is no address of an api; write one such as https://roadlake.example.org")]
    Url(String),
    /// It would be heard by others.
    #[error("{0} is not of this machine: what is sent there must be sent over TLS, by https://")]
    Clear(String),
    /// No authorities to know it by.
    #[error("no authority to know the api's certificate by: {path} cannot be used; name one by --api-ca")]
    Roots {
        /// Where they were looked for.
        path: PathBuf,
    },
    /// It cannot be reached, or broke off.
    #[error("cannot ask {address}; check the network and --api, then try again")]
    Reach {
        /// Whom.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// An answer that is none.
    #[error("what answers at {0} is no api of Roadlake")]
    Answer(String),
    /// It said no.
    #[error("refused ({status}): {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, in its words.
        detail: String,
    },
}

/// An api, by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    is_secure: bool,
    host: String,
    port: u16,
    /// What its paths begin with: empty, or `/somewhere`.
    prefix: String,
}

/// Problem details (RFC 9457), as far as they are for people.
#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    field: String,
    message: String,
}

impl Api {
    /// Reads `https://host[:port][/prefix]`.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::Url(text.to_owned());
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(wrong)?;
        let (is_secure, port_default) = match scheme {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return Err(wrong()),
        };
        let (authority, prefix) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            // An address of IPv6 has its colons in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (authority, port_default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_clean = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\\\"".contains(&b));
        if host.is_empty() || !is_clean(&host) || !is_clean(prefix) {
            return Err(wrong());
        }
        let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if !is_secure && !is_here {
            return Err(ApiError::Clear(text.to_owned()));
        }
        Ok(Self { is_secure, host, port, prefix: prefix.trim_end_matches('/').to_owned() })
    }

    /// Posts JSON to a path; the body of an answer that is a 200.
    pub fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
        roots_file: Option<&Path>,
    ) -> Result<Vec<u8>, ApiError> {
        let is_v6 = self.host.contains(':');
        let host = if is_v6 { format!("[{}]", self.host) } else { self.host.clone() };
        let address = format!("{host}:{}", self.port);
        let reach = |source| ApiError::Reach { address: address.clone(), source };
        let config = if self.is_secure { Some(tls(roots_file)?) } else { None };
        let body = body.to_string();
        let request = format!(
            "POST {}{path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             User-Agent: edge-agent/{}\r\nConnection: close\r\n\r\n{body}",
            self.prefix,
            body.len(),
            env!("CARGO_PKG_VERSION")
        );
        let stream = self.connect().map_err(reach)?;
        let answer = match config {
            None => exchange(stream, &request),
            Some(config) => {
                let name = ServerName::try_from(self.host.clone());
                let name = name.map_err(|_| ApiError::Url(self.host.clone()))?;
                let connection =
                    ClientConnection::new(config, name).map_err(io::Error::other).map_err(reach)?;
                exchange(StreamOwned::new(connection, stream), &request)
            }
        };
        read(&answer.map_err(reach)?, &address)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIME_MAX) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(SILENCE_MAX))?;
                    stream.set_write_timeout(Some(SILENCE_MAX))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn tls(roots_file: Option<&Path>) -> Result<Arc<ClientConfig>, ApiError> {
    let there = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.is_file());
    let path = roots_file.or(there).unwrap_or(Path::new(SYSTEM_ROOTS[0]));
    let mut roots = RootCertStore::empty();
    // Of the system's some may be of a kind that is not known here.
    for certificate in CertificateDer::pem_file_iter(path).into_iter().flatten().flatten() {
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(ApiError::Roots { path: path.to_owned() });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|_| ApiError::Roots { path: path.to_owned() })?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        // A server that closes without a last word: whether all has come, its length says.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

/// The body of an answer that is content, and whole.
fn read(answer: &[u8], address: &str) -> Result<Vec<u8>, ApiError> {
    let none = || ApiError::Answer(address.to_owned());
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(none)?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let status = head.lines().next().filter(|line| line.starts_with("HTTP/1.")).and_then(|line| {
        let status = line.split(' ').nth(1)?;
        status.parse::<u16>().ok()
    });
    let status = status.ok_or_else(none)?;
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| length != body.len()) {
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut");
        return Err(ApiError::Reach { address: address.to_owned(), source });
    }
    if status == 200 {
        return Ok(body.to_vec());
    }
    let problem: Problem = serde_json::from_slice(body).map_err(|_| none())?;
    let faults: Vec<String> = problem.errors.iter().map(|f| format!("{} {}", f.field, f.message)).collect();
    let detail = [vec![problem.detail], faults].concat().join("; ");
    Err(ApiError::Refused { status, detail })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn addresses_are_read_and_tokens_go_to_nobody_else_in_the_clear() {
        let of = |text: &str| Api::parse(text).unwrap();
        let api = of("https://roadlake.example.org/fleet/");
        assert_eq!((&*api.host, api.port, &*api.prefix), ("roadlake.example.org", 443, "/fleet"));
        assert_eq!((of("http://[::1]:8080").port, &*of("http://[::1]:8080").host), (8080, "::1"));
        assert_eq!(of("http://127.0.0.1").port, 80);
        for wrong in
            ["roadlake.example.org", "ftp://x", "https://", "https://u:p@x", "https://x:y", "https://x/a b"]
        {
            assert!(matches!(Api::parse(wrong), Err(ApiError::Url(_))), "{wrong}");
        }
        for clear in ["http://roadlake.example.org", "http://192.0.2.1:80"] {
            assert!(matches!(Api::parse(clear), Err(ApiError::Clear(_))), "{clear}");
        }
    }

    #[test]
    fn an_answer_is_whole_or_none_and_a_refusal_is_told_in_its_words() {
        let of = |text: &str| read(text.as_bytes(), "here");
        assert_eq!(of("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap(), b"{}");
        assert_eq!(of("HTTP/1.1 200 OK\r\n\r\n{}").unwrap(), b"{}");
        assert!(matches!(of("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n{}"), Err(ApiError::Reach { .. })));
        let refused = of(
            "HTTP/1.1 422 No\r\n\r\n{\"detail\":\"bad\",\"errors\":[{\"field\":\"a\",\"message\":\"is b\"}]}",
        );
        assert_eq!(refused.unwrap_err().to_string(), "refused (422): bad; a is b");
        for none in ["", "HTTP/1.1 200 OK", "SSH-2.0 200 x\r\n\r\n{}", "HTTP/1.1 404 No\r\n\r\n<html>"] {
            assert!(matches!(of(none), Err(ApiError::Answer(_))), "{none:?}");
        }
    }

    /// A server with a certificate: it is believed by its authority alone.
    #[test]
    fn over_tls_the_api_is_known_by_its_authority() {
        let folder = tempfile::tempdir().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&ca_key).unwrap().pem()).unwrap();
        let issuer = rcgen::Issuer::new(params, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            for _ in 0..2 {
                let connection = rustls::ServerConnection::new(Arc::new(config.clone())).unwrap();
                let mut stream = StreamOwned::new(connection, listener.accept().unwrap().0);
                let mut bytes = [0; 4096];
                // Who does not believe the certificate sends nothing.
                if stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                    stream.conn.send_close_notify();
                    stream.flush().unwrap();
                }
            }
        });
        let api = Api::parse(&format!("https://localhost:{port}")).unwrap();
        let body = serde_json::json!({});
        let believed = api.post("/v1/x", &body, Some(&folder.path().join("ca.pem")));
        assert_eq!(believed.unwrap(), b"{}");
        std::fs::write(folder.path().join("other.pem"), certificate.pem()).unwrap();
        let stranger = {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.self_signed(&key).unwrap().pem()
        };
        std::fs::write(folder.path().join("other.pem"), stranger).unwrap();
        let refused = api.post("/v1/x", &body, Some(&folder.path().join("other.pem")));
        assert!(matches!(refused, Err(ApiError::Reach { .. })), "{refused:?}");
        serving.join().unwrap();
        let none = api.post("/v1/x", &body, Some(Path::new("/nonexistent")));
        assert!(matches!(none, Err(ApiError::Roots { .. })), "{none:?}");
    }
}
