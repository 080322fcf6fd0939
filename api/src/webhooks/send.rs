//! One call to an endpoint, and where calls may go.
//!
//! An endpoint of an organization may be anywhere but in the operator's network: its names are resolved by us and
//! addresses that are not public are left out, at every call, as a name may point elsewhere tomorrow. No redirect is
//! followed and no proxy asked. The operator's own endpoints may be anywhere.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::{Host, Url};

/// Longest time to an answer.
const ANSWER_MAX: Duration = Duration::from_secs(15);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where to.
    pub url: String,
    /// Whether it must be a public address.
    pub is_public_only: bool,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// There was no answer.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// It may not be called.
    #[error("not called: its address is not public")]
    NotPublic,
    /// It cannot be reached, or does not answer in time; for whoever has the endpoint.
    #[error("{0}")]
    NoAnswer(String),
}

/// Makes calls.
#[async_trait]
pub trait Sender: Send + Sync + std::fmt::Debug {
    /// Posts, and returns the status of the answer.
    async fn post(&self, call: &Call) -> Result<u16, NotSent>;
}

/// Calls by HTTP.
#[derive(Debug)]
pub struct Http {
    anywhere: Client,
    public: Client,
}

impl Http {
    /// Ready to call; fails where TLS cannot be had.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = || {
            Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .timeout(ANSWER_MAX)
                .connect_timeout(CONNECT_MAX)
                .user_agent(concat!("Roadlake/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Self { anywhere: client().build()?, public: client().dns_resolver(Arc::new(PublicOnly)).build()? })
    }
}

#[async_trait]
impl Sender for Http {
    async fn post(&self, call: &Call) -> Result<u16, NotSent> {
        let url = Url::parse(&call.url).map_err(|error| NotSent::NoAnswer(error.to_string()))?;
        if call.is_public_only && !may_be_public(&url) {
            return Err(NotSent::NotPublic);
        }
        let client = if call.is_public_only { &self.public } else { &self.anywhere };
        let mut request = client.post(url).header("content-type", "application/json");
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        match request.body(call.body.clone()).send().await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) if error.is_timeout() => {
                Err(NotSent::NoAnswer(format!("no answer within {} s", ANSWER_MAX.as_secs())))
            }
            // Without the address: whoever reads it knows it.
            Err(error) => Err(NotSent::NoAnswer(service::logs::chain(&error.without_url()).to_string())),
        }
    }
}

/// Resolves names to their public addresses.
#[derive(Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("its name has no public address".into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether an address written in a URL is public, as far as that can be told before its name is resolved.
pub(crate) fn may_be_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => is_public(ip.into()),
        Some(Host::Ipv6(ip)) => is_public(ip.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.contains('.')
                && !name.ends_with(".localhost")
                && !name.ends_with(".internal")
                && !name.ends_with(".local")
        }
        None => false,
    }
}

/// Whether anybody on the Internet may have it (IANA's special-purpose registries, RFC 6890, left out).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        // Shared by carriers, protocol assignments, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(inner) = ip.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let tail = || {
        let ([g1, g2], [h1, h2]) = (g.to_be_bytes(), h.to_be_bytes());
        Ipv4Addr::new(g1, g2, h1, h2)
    };
    // An IPv4 address behind NAT64 or 6to4 is judged as what it is.
    if (a, b, c, d, e, f) == (0x64, 0xff9b, 0, 0, 0, 0) {
        return is_public_v4(tail());
    }
    if a == 0x2002 {
        let ([b1, b2], [c1, c2]) = (b.to_be_bytes(), c.to_be_bytes());
        return is_public_v4(Ipv4Addr::new(b1, b2, c1, c2));
    }
    // Global unicast is 2000::/3, without protocol assignments and documentation.
    a & 0xe000 == 0x2000 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for public in
            ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for other in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::1",
        ] {
            assert!(!is_public(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn names_of_a_network_s_own_are_not_public() {
        let of = |url: &str| may_be_public(&Url::parse(url).unwrap());
        assert!(
            of("https://example.com/x") && of("https://8.8.8.8/") && of("https://[2606:4700:4700::1111]/")
        );
        for other in [
            "https://localhost/",
            "https://db/",
            "https://a.localhost/",
            "https://vault.internal./",
            "https://0x7f.1/",
        ] {
            assert!(!of(other), "{other}");
        }
    }
}
