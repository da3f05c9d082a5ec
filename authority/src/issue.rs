//! Making certificates: the authority of a network, and a certificate for each of its processes.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use link::Name;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use time::{Duration, OffsetDateTime};
use x509_parser::pem::Pem;

use crate::{AUTHORITY, Found, replace};

/// The authority is valid longer than the certificates it signs, so that they can be renewed one by one.
const AUTHORITY_DAYS: u32 = 3650;

/// Certificates are valid from a little before they are made, since clocks differ.
const HEAD_START: Duration = Duration::hours(1);

/// A folder of certificates and keys, with the authority that signs them.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority in a folder that others cannot enter.
    ///
    /// # Errors
    /// When the folder cannot be written, or `days` leads beyond the calendar's range.
    pub fn create(folder: &Path, days: u32) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))
            .with_context(|| folder.display().to_string())?;
        // The authorities of two networks must differ in name, so that a certificate of the other network is reported
        // as such.
        let mut random = [0; 8];
        getrandom::fill(&mut random).context("the system gives no random bytes")?;
        let mut params = valid_for(days.max(AUTHORITY_DAYS))?;
        params.distinguished_name = called(&format!("pom2dib network {:016x}", u64::from_be_bytes(random)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // A machine that trusts this authority must not accept certificates for public host names from it.
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("pom2dib".into())],
            excluded_subtrees: Vec::new(),
        });
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        write(folder, AUTHORITY, &certificate.pem(), &key)?;
        Ok(Authority { folder: folder.into(), issuer: Issuer::new(params, key) })
    }

    /// The authority of a folder.
    ///
    /// # Errors
    /// When the authority's files are missing or hold something else.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let read = |extension: &str| {
            let path = folder.join(format!("{AUTHORITY}.{extension}"));
            let remedy = || format!("{}: the authority's own files are needed here", path.display());
            std::fs::read_to_string(&path).with_context(remedy).map(|text| (path.display().to_string(), text))
        };
        let ((ca, certificate), (key_file, key)) = (read("pem")?, read("key")?);
        let key = KeyPair::from_pem(&key).context(key_file)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).context(ca)?;
        Ok(Authority { folder: folder.into(), issuer })
    }

    /// Makes the certificate and key of `name`, replacing existing ones.
    ///
    /// # Errors
    /// When the folder cannot be written, or `days` leads beyond the calendar's range.
    pub fn issue(&self, name: Name, days: u32) -> anyhow::Result<()> {
        let mut params = valid_for(days)?;
        params.distinguished_name = called(&name.stem());
        params.subject_alt_names = CertificateParams::new([name.dns()])?.subject_alt_names;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let purposes = [
            (name.dials(), ExtendedKeyUsagePurpose::ClientAuth),
            (name.listens(), ExtendedKeyUsagePurpose::ServerAuth),
        ];
        params.extended_key_usages =
            purposes.into_iter().filter_map(|(has, use_)| has.then_some(use_)).collect();
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        write(&self.folder, &name.stem(), &certificate.pem(), &key)
    }
}

/// The certificates in a folder: the authority's first, then by role and index.
///
/// # Errors
/// When there are none, or one cannot be read.
pub fn found_in(folder: &Path) -> anyhow::Result<Vec<Found>> {
    let entries = folder.read_dir().with_context(|| folder.display().to_string())?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".pem"));
        let name = stem.and_then(Name::parse);
        if name.is_some() || stem == Some(AUTHORITY) {
            let until = valid_until(&path).with_context(|| path.display().to_string())?;
            found.push(Found { name, until });
        }
    }
    found.sort_by_key(|found| found.name);
    match found.is_empty() {
        true => bail!("{} holds no certificates; `pom2dib certs new` makes some", folder.display()),
        false => Ok(found),
    }
}

fn valid_until(path: &Path) -> anyhow::Result<OffsetDateTime> {
    let bytes = std::fs::read(path)?;
    let pem = Pem::iter_from_buffer(&bytes).next().context("it holds no certificate in PEM")??;
    Ok(pem.parse_x509()?.validity().not_after.to_datetime())
}

fn valid_for(days: u32) -> anyhow::Result<CertificateParams> {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.not_before = now - HEAD_START;
    params.not_after =
        now.checked_add(Duration::days(days.into())).context("--days leads beyond all calendars")?;
    Ok(params)
}

fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Writes a key, then its certificate. Nodes may read them at any moment, so each file is written atomically, and a
/// node that finds a new key beside an old certificate keeps the pair that it has.
fn write(folder: &Path, stem: &str, certificate: &str, key: &KeyPair) -> anyhow::Result<()> {
    replace(&folder.join(format!("{stem}.key")), &key.serialize_pem(), 0o600)?;
    replace(&folder.join(format!("{stem}.pem")), certificate, 0o644)
}
