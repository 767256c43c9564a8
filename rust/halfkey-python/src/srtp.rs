//! SRTP over one hop, with the plain AES-GCM profiles.

use halfkey_media::srtp::SRTCP_OVERHEAD;
use halfkey_media::{HopProfile, HopReceiveContext, HopSendContext, TAG_LENGTH};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{Error, unknown_profile};

/// A profile with one layer. A double one is refused: its packets have two.
fn single_profile(profile: u16) -> Result<HopProfile, Error> {
    match profile {
        0x0007 | 0x0008 => HopProfile::from_code_point(profile),
        _ => None,
    }
    .ok_or_else(|| unknown_profile(profile))
}

/// Protects the packets of one direction.
#[pyclass(module = "halfkey._media")]
pub(crate) struct SrtpSender {
    context: HopSendContext,
    buffer: Vec<u8>,
}

#[pymethods]
impl SrtpSender {
    #[new]
    fn new(profile: u16, master_key: &[u8], master_salt: &[u8]) -> Result<Self, Error> {
        let context = HopSendContext::new(single_profile(profile)?, master_key, master_salt)?;
        Ok(Self {
            context,
            buffer: Vec::new(),
        })
    }

    fn protect<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.buffer.clear();
        self.buffer.extend_from_slice(packet);
        self.buffer.resize(packet.len() + TAG_LENGTH, 0);
        self.context.seal_rtp(&mut self.buffer, packet.len())?;
        Ok(PyBytes::new(py, &self.buffer))
    }

    fn protect_rtcp<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.buffer.clear();
        self.buffer.extend_from_slice(packet);
        self.buffer.resize(packet.len() + SRTCP_OVERHEAD, 0);
        self.context.seal_rtcp(&mut self.buffer, packet.len())?;
        Ok(PyBytes::new(py, &self.buffer))
    }
}

/// Opens the packets of one direction.
#[pyclass(module = "halfkey._media")]
pub(crate) struct SrtpReceiver {
    context: HopReceiveContext,
    buffer: Vec<u8>,
}

#[pymethods]
impl SrtpReceiver {
    #[new]
    fn new(profile: u16, master_key: &[u8], master_salt: &[u8]) -> Result<Self, Error> {
        let context = HopReceiveContext::new(single_profile(profile)?, master_key, master_salt)?;
        Ok(Self {
            context,
            buffer: Vec::new(),
        })
    }

    fn unprotect<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.buffer.clear();
        self.buffer.extend_from_slice(packet);
        let length = self.context.open_rtp(&mut self.buffer)?.length();
        Ok(PyBytes::new(py, &self.buffer[..length]))
    }

    fn unprotect_rtcp<'py>(
        &mut self,
        py: Python<'py>,
        packet: &[u8],
    ) -> Result<Bound<'py, PyBytes>, Error> {
        self.buffer.clear();
        self.buffer.extend_from_slice(packet);
        let length = self.context.open_rtcp(&mut self.buffer)?;
        Ok(PyBytes::new(py, &self.buffer[..length]))
    }
}
