//! TLS as a function meets it in front of DynamoDB: a certificate of two steps, with RSA keys, that it
//! has to check against the system's, and a whole handshake for each connection.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_RSA_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use crate::setting::Outcome;

/// The certificates that a function trusts in Lambda.
pub const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A server for `localhost`, and `bundle` written for its clients: the system's certificates, and one
/// of an authority made for this run.
pub fn server(bundle: &Path) -> Outcome<Arc<ServerConfig>> {
    let key = || KeyPair::generate_for(&PKCS_RSA_SHA256);
    let mut authority = CertificateParams::new([])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key()?)?;
    let own = key()?;
    let certificate = CertificateParams::new(["localhost".into()])?.signed_by(&own, &authority)?;

    fs::write(bundle, fs::read_to_string(SYSTEM)? + &authority.pem())?;
    let chain: Vec<CertificateDer> = vec![certificate.into()];
    let key = PrivateKeyDer::try_from(own.serialize_der())?;
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // A new environment has no session to resume.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Arc::new(server))
}
