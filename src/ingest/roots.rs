//! Certificates to trust, from a file, for those who speak HTTPS.
//!
//! Not here: Kafka's, which librdkafka reads by itself (`connection`).

use std::io;
use std::path::Path;

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// The certificates of a file in PEM, to be trusted alone; `None` where it holds none.
///
/// # Errors
/// Where the file cannot be read.
pub fn roots_in(path: &Path) -> io::Result<Option<RootCerts>> {
    let pem = std::fs::read(path)?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    Ok((!certificates.is_empty()).then(|| RootCerts::new_with_certs(&certificates)))
}
