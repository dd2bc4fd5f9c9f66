//! What a certificate says. Its signature was verified by the handshake; what it may be used for is checked again here, as
//! a library that asks for less would open the gate.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::asn1_rs::ToDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// A client's certificate, read. Names are as they stand there, not judged.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) uris: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) common_names: Vec<String>,
    pub(super) units: Vec<String>,
    /// RFC 4514, the most particular part first.
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Hexadecimal, upper case, as OpenSSL shows it.
    pub(super) serial: String,
    /// Unix time.
    pub(super) not_before: i64,
    /// Unix time.
    pub(super) not_after: i64,
}

impl Document {
    /// Reads a certificate, DER. Says why it is none that a client may come with.
    pub(super) fn read(der: &[u8]) -> Result<Self, &'static str> {
        let Ok((rest, certificate)) = x509_parser::parse_x509_certificate(der) else { return Err("the client certificate cannot be read") };
        if !rest.is_empty() {
            return Err("there are more bytes behind the client certificate");
        }
        may_be_a_clients(&certificate)?;
        let mut document = Self {
            common_names: texts(certificate.subject().iter_common_name())?,
            units: texts(certificate.subject().iter_organizational_unit())?,
            subject: written(certificate.subject())?,
            issuer: written(certificate.issuer())?,
            serial: serial(certificate.raw_serial()),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            ..Self::default()
        };
        let names = certificate.subject_alternative_name().map_err(|_| "the client certificate's alternative names cannot be read")?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            document.take(name)?;
        }
        Ok(document)
    }

    fn take(&mut self, name: &GeneralName<'_>) -> Result<(), &'static str> {
        match name {
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::DNSName(host) => self.hosts.push((*host).to_owned()),
            GeneralName::RFC822Name(email) => self.emails.push((*email).to_owned()),
            GeneralName::Invalid(..) => return Err("a name in the client certificate cannot be read"),
            GeneralName::OtherName(..)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::IPAddress(_)
            | GeneralName::RegisteredID(_) => {}
        }
        Ok(())
    }
}

fn may_be_a_clients(certificate: &X509Certificate<'_>) -> Result<(), &'static str> {
    const UNREADABLE: &str = "an extension of the client certificate cannot be read";
    let constraints = certificate.basic_constraints().map_err(|_| UNREADABLE)?;
    let usage = certificate.key_usage().map_err(|_| UNREADABLE)?;
    if constraints.is_some_and(|it| it.value.ca) || usage.is_some_and(|it| it.value.key_cert_sign() || it.value.crl_sign()) {
        return Err("the client certificate is an authority's");
    }
    let purposes = certificate.extended_key_usage().map_err(|_| UNREADABLE)?;
    if !purposes.is_some_and(|it| it.value.client_auth) {
        return Err("the client certificate is not made for clients (extendedKeyUsage without clientAuth)");
    }
    Ok(())
}

fn texts<'a>(attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Result<Vec<String>, &'static str> {
    attributes.map(|one| one.as_str().map(str::to_owned).map_err(|_| "the client certificate's subject is not UTF-8")).collect()
}

fn serial(bytes: &[u8]) -> String {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits: String = bytes.iter().skip(start).map(|byte| format!("{byte:02X}")).collect();
    if digits.is_empty() { "00".to_owned() } else { digits }
}

/// RFC 4514: what has a meaning in it is escaped, so that no value can pass for two.
fn written(name: &X509Name<'_>) -> Result<String, &'static str> {
    let parts: Option<Vec<String>> =
        name.iter().map(|part| part.iter().map(attribute).collect::<Option<Vec<_>>>().map(|all| all.join("+"))).collect();
    let mut parts = parts.ok_or("a name in the client certificate cannot be written")?;
    parts.reverse();
    Ok(parts.join(","))
}

fn attribute(one: &AttributeTypeAndValue<'_>) -> Option<String> {
    let oid = one.attr_type().to_id_string();
    // The table of RFC 4514 section 3.
    let short = match oid.as_str() {
        "2.5.4.3" => Some("CN"),
        "2.5.4.7" => Some("L"),
        "2.5.4.8" => Some("ST"),
        "2.5.4.10" => Some("O"),
        "2.5.4.11" => Some("OU"),
        "2.5.4.6" => Some("C"),
        "2.5.4.9" => Some("STREET"),
        "0.9.2342.19200300.100.1.25" => Some("DC"),
        "0.9.2342.19200300.100.1.1" => Some("UID"),
        _ => None,
    };
    match (short, one.as_str()) {
        (Some(short), Ok(text)) => Some(format!("{short}={}", escaped(text))),
        (short, _) => {
            let der: String = one.attr_value().to_der_vec().ok()?.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("{}=#{der}", short.unwrap_or(&oid)))
        }
    }
}

/// RFC 4514 section 2.4.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if c.is_control() {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| out.push_str(&format!("\\{byte:02x}")));
            continue;
        }
        let edge = (c == ' ' && (at == 0 || at == last)) || (c == '#' && at == 0);
        if edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
