//! Connections as sinks make them that do not speak HTTP: TCP, with TLS where it is asked for, and a bound on every wait.
//!
//! TLS is verified, by the certificates of the web or by a file; a certificate of our own is shown where there is one. [`Connection::close`] is
//! what a protocol without acknowledgement has instead: it ends our side and waits until the receiver, having read all, ends its own.
//!
//! Not here: what is said over a connection (`syslog`, `smtp`), proxies, and HTTP (`http`).

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::Deserialize;

use super::{SinkError, Surroundings};

/// Longest time of making a connection, for each address of its host.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time in which nothing is read or written, and longest wait for the receiver's end.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Certificates, as a section of the pipeline file names them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Certificates {
    /// Certificates in PEM to trust instead of the web's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, in PEM, where the receiver asks for one.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// The certificate's key.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// Where to connect to.
#[derive(Clone)]
pub struct Endpoint {
    /// Host and port.
    address: String,
    tls: Arc<ClientConfig>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl Endpoint {
    /// An address as `host:port`, and how its certificate is checked.
    ///
    /// # Errors
    /// [`SinkError::Spec`] or [`SinkError::File`].
    pub fn of(address: &str, certificates: &Certificates, around: &Surroundings) -> Result<Self, SinkError> {
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && is_port(port) && !address.contains(['/', '@', ' ']) => {}
            _ => return Err(SinkError::Spec("field address: is no address, write `host:port`")),
        }
        Ok(Self { address: address.to_owned(), tls: Arc::new(client(certificates, around)?) })
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connects, without TLS.
    ///
    /// # Errors
    /// Where no address of the host answers.
    pub fn connect(&self) -> io::Result<Connection> {
        let mut problem = io::Error::new(ErrorKind::NotFound, "the host is not known");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    stream.set_write_timeout(Some(TIMEOUT))?;
                    return Ok(Connection::Plain(stream));
                }
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    /// Goes on with TLS on a connection.
    ///
    /// # Errors
    /// Where the certificate is not trusted, or the other side does not speak TLS.
    pub fn secure(&self, connection: Connection) -> io::Result<Connection> {
        let Connection::Plain(stream) = connection else { return Ok(connection) };
        let host = self.address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let client = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(client, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connection::Secure(Box::new(stream)))
    }

    /// A problem of a connection as a sink's.
    pub fn unreachable(target: &str, problem: &io::Error) -> SinkError {
        SinkError::Unreachable { target: target.to_owned(), problem: reason(problem) }
    }
}

/// Why a connection failed, without what the other side said.
fn reason(problem: &io::Error) -> String {
    let is_of_tls = problem.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    match problem.kind() {
        _ if is_of_tls => "TLS failed: is its certificate known, and ours? See ca_file and certificate".to_owned(),
        // What a read or write that took too long ends in differs by system.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_owned(),
        kind => kind.to_string(),
    }
}

fn client(certificates: &Certificates, around: &Surroundings) -> Result<ClientConfig, SinkError> {
    let mut roots = RootCertStore::empty();
    match &certificates.ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            roots.add_parsable_certificates(in_pem(&around.path(path))?);
        }
    }
    if roots.is_empty() {
        return Err(SinkError::Spec("field ca_file: holds no certificate in PEM"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| SinkError::Spec("TLS is not available"))?
        .with_root_certificates(roots);
    match (&certificates.certificate, &certificates.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_slice(&read(&around.path(key))?)
                .map_err(|_| SinkError::Spec("field key: holds no key in PEM"))?;
            builder
                .with_client_auth_cert(in_pem(&around.path(certificate))?, key)
                .map_err(|_| SinkError::Spec("fields certificate, key: are not a pair"))
        }
        _ => Err(SinkError::Spec("fields certificate, key: write both, or none")),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SinkError> {
    std::fs::read(path).map_err(|problem| SinkError::File { path: path.to_owned(), problem })
}

fn in_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, SinkError> {
    Ok(CertificateDer::pem_slice_iter(&read(path)?).flatten().collect())
}

/// A connection that is made.
pub enum Connection {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Ends our side, and waits until the other has ended its own: it has then read all that was written, or a reset says that it has not.
    ///
    /// # Errors
    /// Where the other side resets the connection, or does not end it in time.
    pub fn close(mut self) -> io::Result<()> {
        self.flush()?;
        match &mut self {
            Self::Plain(stream) => stream.shutdown(Shutdown::Write)?,
            Self::Secure(stream) => {
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock)?;
                stream.sock.shutdown(Shutdown::Write)?;
            }
        }
        let since = Instant::now();
        let mut ignored = [0; 1024];
        while since.elapsed() < TIMEOUT {
            match self.read(&mut ignored) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // Many end TCP without a word of TLS: that is an end, too.
                Err(problem) if problem.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(problem) if problem.kind() == ErrorKind::Interrupted => {}
                Err(problem) => return Err(problem),
            }
        }
        Err(ErrorKind::TimedOut.into())
    }
}

impl Read for Connection {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Secure(stream) => stream.read(bytes),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Secure(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Secure(stream) => stream.flush(),
        }
    }
}

/// The name of this machine, as far as it is one in printable ASCII.
pub fn own_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: &str) -> Result<Endpoint, SinkError> {
        Endpoint::of(address, &Certificates::default(), &Surroundings::default())
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert!(
            ["logs.example:6514", "[::1]:601", "10.0.0.1:514"].into_iter().all(|address| endpoint(address).is_ok())
        );
        for address in ["", "logs.example", ":514", "logs.example:0", "logs.example:syslog", "tcp://logs.example:514"] {
            assert!(endpoint(address).is_err(), "{address}");
        }
    }

    #[test]
    fn a_receiver_that_goes_without_reading_is_no_success() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = endpoint(&listener.local_addr().unwrap().to_string()).unwrap();
        let mut unread = endpoint.connect().unwrap();
        unread.write_all(b"an alert").unwrap();
        let (other, _) = listener.accept().unwrap();
        // Closing with bytes unread resets the connection.
        std::thread::sleep(Duration::from_millis(100));
        drop(other);
        assert!(unread.close().is_err());

        let mut all_read = endpoint.connect().unwrap();
        all_read.write_all(b"an alert").unwrap();
        let (mut other, _) = listener.accept().unwrap();
        std::thread::spawn(move || other.read_to_end(&mut Vec::new()));
        all_read.close().unwrap();
    }
}
