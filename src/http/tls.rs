//! Which certificates are trusted: `SSL_CERT_FILE`, else `ca_file` of the configuration, else the certificate store of the
//! system, which has the authority of a company that inspects TLS; the bundled roots where the system has none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::Context;
use crate::error::{Error, Result};
use crate::model::{Scheme, SecretLocation};
use crate::sys::atomic_file;

/// The certificates for one server, in the place of those for every server.
#[derive(Default)]
pub(super) struct Trust {
    /// PEM, and the setting that names it.
    pub(super) ca_file: Option<(PathBuf, &'static str)>,
    /// The certificate of this client and its key (PEM).
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// For http, trusts no certificate: that is a loopback address, and the store of the system costs 5 ms.
pub(super) fn configuration(
    context: &Context,
    scheme: Scheme,
    trust: &Trust,
) -> Result<ClientConfig> {
    let file = context.environment.get("SSL_CERT_FILE").map(PathBuf::from);
    check_paths(context)?;
    let roots = match (&trust.ca_file, &file, &context.configuration()?.ca_file) {
        _ if scheme == Scheme::Http => RootCertStore::empty(),
        (Some((file, setting)), ..) => roots_of(file, setting)?,
        (None, Some(file), _) => roots_of(file, "SSL_CERT_FILE")?,
        (None, None, Some(file)) => roots_of(file, "`ca_file` in config.toml")?,
        (None, None, None) => roots_of_system(context)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::invalid_state(format!("TLS: {error}")))?;
    let builder = builder.with_root_certificates(roots);
    let Some((certificate, key)) = trust.client.as_ref().filter(|_| scheme == Scheme::Https) else {
        return Ok(builder.with_no_client_auth());
    };
    let unusable = |path: &Path, why: &dyn std::fmt::Display| {
        Error::invalid_state(format!("cannot use {} for TLS: {why}", path.display()))
    };
    let chain = certificates_of(certificate).map_err(|why| unusable(certificate, &why))?;
    let pem = context.secret(&SecretLocation::File(key.clone()))?;
    let pem = pem.ok_or_else(|| unusable(key, &"it is missing or empty"))?;
    // The error of the parser is not shown: it may repeat a part of the key.
    let parsed = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes());
    let parsed = parsed.map_err(|_| unusable(key, &"it has no unencrypted private key (PEM)"))?;
    builder.with_client_auth_cert(chain, parsed).map_err(|why| unusable(certificate, &why))
}

fn certificates_of(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = atomic_file::read_certificates(file).map_err(|error| error.to_string())?;
    let pem = pem.ok_or_else(|| std::io::ErrorKind::NotFound.to_string())?;
    let parsed = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    parsed.map_err(|error| error.to_string())
}

/// A relative path would be one of the working directory. `rustls-native-certs` reads `SSL_CERT_DIR`, which may be a list.
fn check_paths(context: &Context) -> Result<()> {
    let value = |name| context.environment.get(name).unwrap_or_default();
    let (file, folders) = (value("SSL_CERT_FILE"), value("SSL_CERT_DIR"));
    let is_relative = |path: &Path| !path.as_os_str().is_empty() && path.is_relative();
    let name = match () {
        () if is_relative(Path::new(&file)) => "SSL_CERT_FILE",
        () if std::env::split_paths(&folders).any(|path| is_relative(&path)) => "SSL_CERT_DIR",
        () => return Ok(()),
    };
    Err(Error::invalid(format!("{name} has a relative path"))
        .with_hint(format!("set {name} to an absolute path, or `unset {name}`")))
}

fn roots_of(file: &Path, setting: &str) -> Result<RootCertStore> {
    let unreadable = |why: &dyn std::fmt::Display| {
        Error::invalid_state(format!("cannot load the certificates in {}: {why}", file.display()))
            .with_hint(format!("correct {setting}, which names the file"))
    };
    let certificates = certificates_of(file).map_err(|why| unreadable(&why))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() { Err(unreadable(&"no certificate could be read")) } else { Ok(roots) }
}

fn roots_of_system(context: &Context) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // Skip an unreadable file: one broken file among hundreds must not make every certificate untrusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() && context.environment.get("SSL_CERT_DIR").is_some() {
        return Err(Error::invalid_state("SSL_CERT_DIR names no directory with a certificate")
            .with_hint("correct SSL_CERT_DIR, or `unset SSL_CERT_DIR`"));
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}
