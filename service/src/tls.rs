//! Which cryptography TLS uses.

/// Makes ring the process's cryptography for every TLS connection that names none. Other libraries
/// in the tree bring aws-lc too, and of two rustls takes none by itself: without this a client that
/// leaves the choice to rustls would panic at its first connection. A second time does nothing.
pub fn use_ring() {
    // An error says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
