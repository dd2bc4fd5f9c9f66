//! A development CA, and server and client certificates made by it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use time::{Duration, OffsetDateTime};

/// Names of a certificate when none are given.
pub const DEFAULT_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const CA_VALIDITY: Duration = Duration::days(3650);
/// Clients refuse server certificates that are valid for more than 398 days.
const LEAF_VALIDITY: Duration = Duration::days(397);

/// What was made, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// `ca.crt`: what clients trust.
    pub ca: PathBuf,
    /// `server.crt`: the chain for `tls.certificate`; or `client.crt`.
    pub certificate: PathBuf,
    /// `server.key`, mode 0600: for `tls.private_key`; or `client.key`.
    pub private_key: PathBuf,
    /// Whether the CA had been there before.
    pub ca_reused: bool,
}

/// Why no certificates were made.
#[derive(Debug, thiserror::Error)]
pub enum DevCertsError {
    /// Nothing is overwritten without being asked to.
    #[error("{} exists; give --force to replace it", .0.display())]
    Exists(PathBuf),
    /// Only one of the CA's two files is there.
    #[error("{} is there without {}; move it away, or restore the other", .0.display(), .1.display())]
    HalfCa(PathBuf, PathBuf),
    /// A file could not be read or written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, #[source] io::Error),
    /// A name is none, or the CA's files are not usable.
    #[error("{0}")]
    Make(String, #[source] rcgen::Error),
}

/// Makes `ca.crt`, `ca.key`, `server.crt` and `server.key` in `dir`. An existing CA is used again; existing server files are only
/// replaced with `force`. Keys are ECDSA P-256, readable by their owner alone.
pub fn make(dir: &Path, names: &[String], force: bool) -> Result<Made, DevCertsError> {
    let names = if names.is_empty() { DEFAULT_NAMES.map(str::to_owned).to_vec() } else { names.to_vec() };
    make_files(dir, "server", force, |issuer| make_leaf(server(names)?, issuer))
}

/// The same with `client.crt` and `client.key`: the certificate of a client of this name, which is a URI (`spiffe://…`), an
/// e-mail address or a host name; it is the subject's common name, too, where it is short enough for one.
pub fn make_client(dir: &Path, name: &str, force: bool) -> Result<Made, DevCertsError> {
    make_files(dir, "client", force, |issuer| make_leaf(client(name)?, issuer))
}

fn make_files(
    dir: &Path,
    stem: &str,
    force: bool,
    leaf: impl FnOnce(&CaIssuer) -> Result<(String, String), DevCertsError>,
) -> Result<Made, DevCertsError> {
    let (ca_crt, ca_key) = (dir.join("ca.crt"), dir.join("ca.key"));
    let (certificate, private_key) = (dir.join(format!("{stem}.crt")), dir.join(format!("{stem}.key")));
    for path in [&certificate, &private_key] {
        if !force && path.exists() {
            return Err(DevCertsError::Exists(path.clone()));
        }
    }
    fs::create_dir_all(dir).map_err(|error| DevCertsError::Io(dir.to_owned(), error))?;
    let (issuer, ca_reused) = match (ca_crt.exists(), ca_key.exists()) {
        (true, true) => (read_ca(&ca_crt, &ca_key)?, true),
        (false, false) => (make_ca(&ca_crt, &ca_key)?, false),
        (true, false) => return Err(DevCertsError::HalfCa(ca_crt, ca_key)),
        (false, true) => return Err(DevCertsError::HalfCa(ca_key, ca_crt)),
    };
    let (leaf, key) = leaf(&issuer)?;
    // The key first: a watcher that sees the new certificate finds the key that fits.
    write(&private_key, &key, 0o600)?;
    write(&certificate, &leaf, 0o644)?;
    Ok(Made { ca: ca_crt, certificate, private_key, ca_reused })
}

type CaIssuer = Issuer<'static, KeyPair>;

fn failed(what: &str) -> impl FnOnce(rcgen::Error) -> DevCertsError {
    let what = what.to_owned();
    move |error| DevCertsError::Make(format!("{what}: {error}"), error)
}

fn read_ca(crt: &Path, key: &Path) -> Result<CaIssuer, DevCertsError> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| DevCertsError::Io(path.to_owned(), error));
    let pem = read(crt)?;
    let pair = KeyPair::from_pem(&read(key)?).map_err(failed("ca.key is not usable"))?;
    Issuer::from_ca_cert_pem(&pem, pair).map_err(failed("ca.crt is not usable"))
}

fn make_ca(crt: &Path, key: &Path) -> Result<CaIssuer, DevCertsError> {
    let broken = "the CA could not be made";
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed(broken))?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    named(&mut params, "Doorward development CA");
    valid_for(&mut params, CA_VALIDITY);
    let pem = params.self_signed(&pair).map_err(failed(broken))?.pem();
    write(key, &pair.serialize_pem(), 0o600)?;
    write(crt, &pem, 0o644)?;
    Ok(Issuer::new(params, pair))
}

fn server(names: Vec<String>) -> Result<CertificateParams, DevCertsError> {
    let first = names.first().cloned().unwrap_or_default();
    let mut params = CertificateParams::new(names).map_err(failed("a name is neither a host name nor an address"))?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    named(&mut params, &first);
    Ok(params)
}

fn client(name: &str) -> Result<CertificateParams, DevCertsError> {
    /// The longest common name, RFC 5280 appendix A.1.
    const LONGEST: usize = 64;
    let text = name.try_into().map_err(failed("the client's name is not ASCII"))?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![match () {
        () if name.contains(':') => SanType::URI(text),
        () if name.contains('@') => SanType::Rfc822Name(text),
        () => SanType::DnsName(text),
    }];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    named(&mut params, if name.len() <= LONGEST { name } else { "Doorward development client" });
    Ok(params)
}

fn make_leaf(mut params: CertificateParams, issuer: &CaIssuer) -> Result<(String, String), DevCertsError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed("the key could not be made"))?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, LEAF_VALIDITY);
    let leaf = params.signed_by(&pair, issuer).map_err(failed("the certificate could not be made"))?;
    Ok((leaf.pem(), pair.serialize_pem()))
}

fn named(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
}

fn valid_for(params: &mut CertificateParams, validity: Duration) {
    // An hour back: clocks differ.
    params.not_before = OffsetDateTime::now_utc() - Duration::HOUR;
    params.not_after = params.not_before + validity;
}

/// Writes beside the file and moves it there: no reader sees half of it, and a key is never readable by others.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), DevCertsError> {
    let failed = |error| DevCertsError::Io(path.to_owned(), error);
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path)).map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_second_certificate_comes_from_the_same_ca_and_nothing_is_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(dir.path(), &[], false).unwrap();
        assert!(!made.ca_reused);
        for (file, mode) in [("ca.key", 0o600), ("server.key", 0o600), ("ca.crt", 0o644), ("server.crt", 0o644)] {
            let have = fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(have & !mode, 0, "{file} {have:o}");
        }
        let (ca, server, key) = (text(&made.ca), text(&made.certificate), text(&made.private_key));

        assert!(matches!(make(dir.path(), &[], false), Err(DevCertsError::Exists(_))));
        fs::remove_file(&made.certificate).unwrap();
        assert!(matches!(make(dir.path(), &[], false), Err(DevCertsError::Exists(path)) if path.ends_with("server.key")));
        assert_eq!((text(&made.ca), text(&made.private_key)), (ca.clone(), key));

        let again = make(dir.path(), &["app.example.com".to_owned()], true).unwrap();
        assert!(again.ca_reused);
        assert_eq!(text(&again.ca), ca);
        assert_ne!(text(&again.certificate), server);
    }

    #[test]
    fn half_a_ca_is_not_completed_with_another_half() {
        for gone in ["ca.key", "ca.crt"] {
            let dir = tempfile::tempdir().unwrap();
            make(dir.path(), &[], false).unwrap();
            fs::remove_file(dir.path().join(gone)).unwrap();
            assert!(matches!(make(dir.path(), &[], true), Err(DevCertsError::HalfCa(..))), "{gone}");
            assert!(!dir.path().join(gone).exists());
        }
    }

    #[test]
    fn the_server_certificate_is_for_its_names_for_servers_and_for_a_year() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(dir.path(), &["a.example.com".to_owned(), "192.0.2.1".to_owned()], false).unwrap();
        let pem = text(&made.certificate);
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        let leaf = block.parse_x509().unwrap();
        let names = format!("{:?}", leaf.subject_alternative_name().unwrap().unwrap().value.general_names);
        assert!(names.contains("a.example.com") && names.contains("192, 0, 2, 1") || names.contains("[c0, 00, 02, 01]"), "{names}");
        assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
        assert!(!leaf.is_ca());
        let days = (leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp()) / 86_400;
        assert_eq!(days, 397);
        let ca = text(&made.ca);
        let (_, block) = x509_parser::pem::parse_x509_pem(ca.as_bytes()).unwrap();
        let ca = block.parse_x509().unwrap();
        assert!(ca.is_ca());
        assert_eq!(leaf.issuer(), ca.subject());
    }

    #[test]
    fn a_clients_name_stands_where_its_form_belongs() {
        use x509_parser::extensions::GeneralName;
        let dir = tempfile::tempdir().unwrap();
        let server = make(dir.path(), &[], false).unwrap();
        for (name, expected) in [
            ("spiffe://td/ns/shop/sa/web", GeneralName::URI("spiffe://td/ns/shop/sa/web")),
            ("alice@example.com", GeneralName::RFC822Name("alice@example.com")),
            ("node-1.example.com", GeneralName::DNSName("node-1.example.com")),
        ] {
            let made = make_client(dir.path(), name, true).unwrap();
            assert!(made.ca_reused && made.certificate.ends_with("client.crt"));
            let pem = text(&made.certificate);
            let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
            let leaf = block.parse_x509().unwrap();
            assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names, [expected]);
            let purposes = leaf.extended_key_usage().unwrap().unwrap().value.clone();
            assert!(purposes.client_auth && !purposes.server_auth);
            assert_eq!(leaf.subject().to_string(), format!("CN={name}"));
        }
        assert!(matches!(make_client(dir.path(), "x", false), Err(DevCertsError::Exists(path)) if path.ends_with("client.crt")));
        assert!(make_client(dir.path(), "bücher", true).is_err());
        assert!(server.certificate.exists());
        assert!(make_client(dir.path(), &"x".repeat(65), true).is_ok());
    }

    #[test]
    fn a_name_that_is_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(make(dir.path(), &["bücher".to_owned()], false).is_err());
        assert!(!dir.path().join("server.crt").exists());
    }
}
