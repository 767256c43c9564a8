//! EKT Fields and key derivation, as functions.

use halfkey_media::{HopProfile, ekt, kdf};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{Error, unknown_profile};

#[pyfunction]
pub(crate) fn full_ekt_field<'py>(
    py: Python<'py>,
    ekt_key: &[u8],
    spi: u16,
    epoch: u16,
    ssrc: u32,
    roc: u32,
    master_key: &[u8],
) -> Result<Bound<'py, PyBytes>, Error> {
    let field = ekt::full_ekt_field(ekt_key, spi, epoch, ssrc, roc, master_key)?;
    Ok(PyBytes::new(py, &field))
}

#[pyfunction]
pub(crate) fn derive_srtp_session_key<'py>(
    py: Python<'py>,
    profile: u16,
    master_key: &[u8],
    master_salt: &[u8],
) -> Result<Bound<'py, PyBytes>, Error> {
    let profile = HopProfile::from_code_point(profile).ok_or_else(|| unknown_profile(profile))?;
    let mut key = vec![0; profile.key_length()];
    kdf::derive(
        profile,
        master_key,
        master_salt,
        kdf::Label::SrtpEncryption,
        &mut key,
    )?;
    Ok(PyBytes::new(py, &key))
}
