//! The listeners of the configuration. Only TLS with client certificates: a listener beside that one
//! would let anybody be anybody.

use anyhow::{Result, bail};
use rmqtt::net::Builder;
use rmqtt_conf::{Listener, Settings};

/// All of them, none bound yet.
pub fn of(settings: &Settings) -> Result<Vec<Builder>> {
    let all = &settings.listeners;
    let others = [&all.tcps, &all.wss, &all.wsss, &all.quics];
    if let Some(other) = others.into_iter().flat_map(|of_kind| of_kind.values()).next() {
        bail!("listener {} is not of listener.tls: this node has TLS over TCP only", other.name);
    }
    all.tlss.values().map(checked).collect()
}

fn checked(listener: &Listener) -> Result<Builder> {
    let name = &listener.name;
    if !listener.cross_certificate || !listener.cert_cn_as_username {
        bail!("listener {name} needs cross_certificate = true and cert_cn_as_username = true");
    }
    if listener.cert_subject_dn_as_username || listener.proxy_protocol {
        bail!("listener {name} cannot have cert_subject_dn_as_username or proxy_protocol");
    }
    if listener.client_ca_certs.is_none() {
        bail!("listener {name} needs client_ca_certs: the authority that signs clients' certificates");
    }
    let l = listener;
    Ok(Builder::new()
        .name(name.as_str())
        .laddr(l.addr)
        .backlog(l.backlog)
        .nodelay(l.nodelay)
        .reuseaddr(l.reuseaddr)
        .reuseport(l.reuseport)
        .tcp_keepalive(l.tcp_keepalive)
        .max_connections(l.max_connections)
        .max_handshaking_limit(l.max_handshaking_limit)
        .max_packet_size(l.max_packet_size.as_u32())
        .allow_anonymous(false)
        .min_keepalive(l.min_keepalive)
        .max_keepalive(l.max_keepalive)
        .allow_zero_keepalive(l.allow_zero_keepalive)
        .keepalive_backoff(l.keepalive_backoff)
        .max_inflight(l.max_inflight)
        .handshake_timeout(l.handshake_timeout)
        .max_mqueue_len(l.max_mqueue_len)
        .mqueue_rate_limit(l.mqueue_rate_limit.0, l.mqueue_rate_limit.1)
        .max_clientid_len(l.max_clientid_len)
        .max_qos_allowed(l.max_qos_allowed)
        .max_topic_levels(l.max_topic_levels)
        .session_expiry_interval(l.session_expiry_interval)
        .max_session_expiry_interval(l.max_session_expiry_interval)
        .message_retry_interval(l.message_retry_interval)
        .message_expiry_interval(l.message_expiry_interval)
        .max_subscriptions(l.max_subscriptions)
        .max_topic_aliases(l.max_topic_aliases)
        .limit_subscription(l.limit_subscription)
        .tls_cross_certificate(true)
        .tls_cert(l.cert.as_deref())
        .tls_key(l.key.as_deref())
        .tls_client_ca_certs(l.client_ca_certs.as_deref())
        .cert_cn_as_username(true)
        // With the certificate the gate sees whose it is.
        .collect_cert_info(true))
}
