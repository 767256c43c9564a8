//! The Endpoint's half: Double with EKT.

use halfkey_media::double;
use halfkey_media::profile::DoubleProfile;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{Error, unknown_profile};

/// The Short EKT Field.
const SHORT: &[u8] = b"\0";

fn double_profile(profile: u16) -> Result<DoubleProfile, Error> {
    DoubleProfile::from_code_point(profile).ok_or_else(|| unknown_profile(profile))
}

/// The sending half of one association: protects packets end to end, then for the hop.
#[pyclass(module = "halfkey._media")]
pub(crate) struct DoubleSender {
    context: double::DoubleSender,
    output: Vec<u8>,
}

#[pymethods]
impl DoubleSender {
    #[new]
    fn new(profile: u16, hop_master_key: &[u8], hop_master_salt: &[u8]) -> Result<Self, Error> {
        let profile = double_profile(profile)?;
        let context = double::DoubleSender::new(profile, hop_master_key, hop_master_salt)?;
        Ok(Self {
            context,
            output: Vec::new(),
        })
    }

    fn replace_hop_keys(
        &mut self,
        hop_master_key: &[u8],
        hop_master_salt: &[u8],
    ) -> Result<(), Error> {
        Ok(self
            .context
            .replace_hop_keys(hop_master_key, hop_master_salt)?)
    }

    fn set_inner_key(
        &mut self,
        ssrc: u32,
        master_key: &[u8],
        master_salt: &[u8],
    ) -> Result<(), Error> {
        Ok(self.context.set_inner_key(ssrc, master_key, master_salt)?)
    }

    fn rollover_counter(&self, ssrc: u32, sequence_number: u16) -> u32 {
        self.context.rollover_counter(ssrc, sequence_number)
    }

    #[pyo3(signature = (packet, ekt_field=SHORT), text_signature = "($self, packet, ekt_field=b'\\x00')")]
    fn protect<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
        ekt_field: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.context.protect(packet, ekt_field, &mut self.output)?;
        Ok(PyBytes::new(py, &self.output))
    }

    #[pyo3(signature = (packet, ekt_field=SHORT), text_signature = "($self, packet, ekt_field=b'\\x00')")]
    fn protect_repair<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
        ekt_field: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.context
            .protect_repair(packet, ekt_field, &mut self.output)?;
        Ok(PyBytes::new(py, &self.output))
    }

    fn protect_rtcp<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.context.protect_rtcp(packet, &mut self.output)?;
        Ok(PyBytes::new(py, &self.output))
    }
}

/// A packet that was opened.
#[pyclass(module = "halfkey._media", frozen, get_all)]
pub(crate) struct UnprotectedPacket {
    packet: Py<PyBytes>,
    ssrc: u32,
    inner_sequence_number: u16,
    inner_payload_type: u8,
    ekt_spi: u16,
    ekt_epoch: u16,
    new_key: bool,
}

/// The receiving half of one association: opens the hop's layer, the EKT Field, the inner layer.
#[pyclass(module = "halfkey._media")]
pub(crate) struct DoubleReceiver {
    context: double::DoubleReceiver,
    output: Vec<u8>,
}

#[pymethods]
impl DoubleReceiver {
    #[new]
    fn new(profile: u16, hop_master_key: &[u8], hop_master_salt: &[u8]) -> Result<Self, Error> {
        let profile = double_profile(profile)?;
        let context = double::DoubleReceiver::new(profile, hop_master_key, hop_master_salt)?;
        Ok(Self {
            context,
            output: Vec::new(),
        })
    }

    fn replace_hop_keys(
        &mut self,
        hop_master_key: &[u8],
        hop_master_salt: &[u8],
    ) -> Result<(), Error> {
        Ok(self
            .context
            .replace_hop_keys(hop_master_key, hop_master_salt)?)
    }

    fn add_ekt_parameter_set(
        &mut self,
        spi: u16,
        ekt_key: &[u8],
        srtp_master_salt: &[u8],
    ) -> Result<(), Error> {
        Ok(self
            .context
            .add_ekt_parameter_set(spi, ekt_key, srtp_master_salt)?)
    }

    fn remove_ekt_parameter_set(&mut self, spi: u16) {
        self.context.remove_ekt_parameter_set(spi);
    }

    fn unprotect(&mut self, py: Python<'_>, packet: &[u8]) -> Result<UnprotectedPacket, Error> {
        let found = self.context.unprotect(packet, &mut self.output)?;
        Ok(UnprotectedPacket {
            packet: PyBytes::new(py, &self.output).unbind(),
            ssrc: found.ssrc,
            inner_sequence_number: found.inner_sequence_number,
            inner_payload_type: found.inner_payload_type,
            ekt_spi: found.ekt_spi,
            ekt_epoch: found.ekt_epoch,
            new_key: found.new_key,
        })
    }

    fn unprotect_repair<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.context.unprotect_repair(packet, &mut self.output)?;
        Ok(PyBytes::new(py, &self.output))
    }

    fn unprotect_rtcp<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.context.unprotect_rtcp(packet, &mut self.output)?;
        Ok(PyBytes::new(py, &self.output))
    }
}
