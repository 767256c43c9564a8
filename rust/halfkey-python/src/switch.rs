//! The Media Distributor's packet path: `Switch`.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::time::Duration;

use halfkey_media::HopProfile;
use halfkey_media::forwarder::{Credentials, Forwarder, HopKeys, Kind, ParticipantConfig};
use halfkey_media::forwarder::{ParticipantId, SourceConfig, Statistics};
use halfkey_switch::{Answer, Assignment, Granted, MAX_WORKERS, Settings};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::{Error, closed, malformed, seconds, unknown_profile};
use crate::figures::{add_counters, add_work, participant};

/// A UDP address with forwarders behind it, each in a thread of its own.
#[pyclass(module = "halfkey._media")]
pub(crate) struct Switch {
    switch: Option<halfkey_switch::Switch>,
    local_address: SocketAddr,
    event_fd: RawFd,
}

#[pymethods]
impl Switch {
    #[new]
    #[pyo3(signature = (
        address, port, queue_limit = 4096, capture_bytes = 0, workers = 1, late_after = None,
        retransmission_cache = 0
    ))]
    fn new(
        address: &str,
        port: u16,
        queue_limit: usize,
        capture_bytes: usize,
        workers: usize,
        late_after: Option<f64>,
        retransmission_cache: usize,
    ) -> Result<Self, Error> {
        if !(1..=MAX_WORKERS).contains(&workers) {
            return Err(malformed(format!(
                "workers must be from 1 to {MAX_WORKERS}"
            )));
        }
        let switch = halfkey_switch::Switch::new(&Settings {
            address: socket_address(address, port)?,
            workers,
            queue_limit,
            capture_bytes,
            late_after: late_after.map_or(Ok(Settings::LATE_AFTER), seconds)?,
            retransmission_cache,
        })?;
        Ok(Self {
            local_address: switch.local_address(),
            event_fd: switch.event_fd(),
            switch: Some(switch),
        })
    }

    #[getter]
    fn local_address(&self) -> (String, u16) {
        host_and_port(self.local_address)
    }

    #[getter]
    const fn event_fd(&self) -> RawFd {
        self.event_fd
    }

    #[getter]
    fn granted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let granted = self.switch()?.granted();
        let entries = PyDict::new(py);
        entries.set_item("asked_bytes", Granted::ASKED)?;
        entries.set_item("receive_buffer_bytes", granted.receive_buffer)?;
        entries.set_item("send_buffer_bytes", granted.send_buffer)?;
        entries.set_item("joining", granted.is_joining)?;
        entries.set_item("timing", granted.is_timing)?;
        entries.set_item("steering", granted.is_steering)?;
        Ok(entries)
    }

    #[pyo3(signature = (limit = 256))]
    fn drain<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
    ) -> Result<Vec<(String, u16, Bound<'py, PyBytes>)>, Error> {
        let drained = self.switch()?.drain(limit)?.into_iter();
        let datagrams = drained.map(|(from, datagram)| {
            let (host, port) = host_and_port(from);
            (host, port, PyBytes::new(py, &datagram))
        });
        Ok(datagrams.collect())
    }

    fn send(&self, host: &str, port: u16, data: &[u8]) -> Result<bool, Error> {
        let to = socket_address(host, port)?;
        Ok(self.switch()?.send(to, data.to_vec())?)
    }

    #[pyo3(signature = (participant, own_ssrc, cname, *, extensions, payload_types, sources))]
    #[expect(clippy::too_many_arguments, reason = "most are keywords in Python")]
    fn add_participant(
        &self,
        py: Python<'_>,
        participant: ParticipantId,
        own_ssrc: u32,
        cname: String,
        extensions: HashMap<String, u8>,
        payload_types: HashMap<String, u8>,
        sources: Vec<(u32, String)>,
    ) -> Result<(), Error> {
        let config = ParticipantConfig {
            own_ssrc,
            cname,
            extensions: extensions.into_iter().collect(),
            payload_types: payload_types.into_iter().collect(),
            sources: sources
                .into_iter()
                .map(source)
                .collect::<Result<_, Error>>()?,
        };
        let switch = self.switch()?;
        Ok(py.detach(|| switch.add_participant(participant, &config))?)
    }

    fn remove_participant(&self, py: Python<'_>, participant: ParticipantId) -> Result<(), Error> {
        self.instruct(py, |switch| switch.remove_participant(participant))
    }

    fn set_address(
        &self,
        py: Python<'_>,
        participant: ParticipantId,
        host: &str,
        port: u16,
    ) -> Result<(), Error> {
        let address = socket_address(host, port)?;
        self.instruct(py, |switch| switch.set_address(participant, address))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of MediaKeys")]
    fn set_keys(
        &self,
        py: Python<'_>,
        participant: ParticipantId,
        profile: u16,
        client_write_key: &[u8],
        server_write_key: &[u8],
        client_write_salt: &[u8],
        server_write_salt: &[u8],
    ) -> Result<(), Error> {
        let profile =
            HopProfile::from_code_point(profile).ok_or_else(|| unknown_profile(profile))?;
        let keys = HopKeys::new(
            profile,
            (client_write_key, client_write_salt),
            (server_write_key, server_write_salt),
        )?;
        self.instruct(py, |switch| switch.set_keys(participant, keys))
    }

    fn set_credentials(
        &self,
        py: Python<'_>,
        participant: ParticipantId,
        ufrag: &str,
        password: &str,
        remote_ufrag: &str,
    ) -> Result<(), Error> {
        let credentials = Credentials::new(ufrag, password, remote_ufrag);
        self.instruct(py, |switch| {
            switch.set_credentials(participant, credentials)
        })
    }

    fn checks(&self, py: Python<'_>) -> Result<BTreeMap<ParticipantId, (u64, f64)>, Error> {
        let switch = self.switch()?;
        let figures = py.detach(|| switch.checks())?.into_iter();
        let checks = figures.map(|(id, one)| (id, (one.count, one.last.as_secs_f64())));
        Ok(checks.collect())
    }

    fn remove_keys(&self, py: Python<'_>, participant: ParticipantId) -> Result<(), Error> {
        self.instruct(py, |switch| switch.remove_keys(participant))
    }

    fn assign_slots(
        &self,
        py: Python<'_>,
        assignments: Vec<(ParticipantId, String, ParticipantId, u32)>,
    ) -> Result<(), Error> {
        let assignments = assignments
            .into_iter()
            .map(|(receiver, mid, owner, ssrc)| Assignment::new(receiver, mid, owner, ssrc));
        self.instruct(py, |switch| switch.assign_slots(assignments))
    }

    fn clear_slot(&self, py: Python<'_>, receiver: ParticipantId, mid: &str) -> Result<(), Error> {
        self.instruct(py, |switch| switch.clear_slot(receiver, mid))
    }

    /// Seconds since each participant's last authentic packet.
    fn idle(&self, py: Python<'_>) -> Result<BTreeMap<ParticipantId, f64>, Error> {
        let mut least = BTreeMap::new();
        let idle = self.each(py, |forwarder, now| forwarder.idle(now))?;
        for (id, idle) in idle.into_iter().flatten() {
            let least = least.entry(id).or_insert(f64::INFINITY);
            *least = least.min(idle.as_secs_f64());
        }
        Ok(least)
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let figures = self.each(py, |forwarder, _| {
            let counters = forwarder.statistics().clone();
            let cache = forwarder.cache_bytes();
            (
                counters,
                forwarder.reception(),
                forwarder.participants(),
                cache,
            )
        })?;
        let mut counters = Statistics::default();
        let (mut participants, mut cache_bytes) = (0, 0);
        let mut reception = Vec::new();
        for (counted, sources, count, cache) in figures {
            counters.add(&counted);
            cache_bytes += cache;
            reception.extend(sources);
            participants = count;
        }
        let sources = PyDict::new(py);
        for (ssrc, report) in reception {
            let figures = PyDict::new(py);
            figures.set_item("received", report.received)?;
            figures.set_item("lost", report.lost)?;
            figures.set_item("jitter", report.jitter)?;
            sources.set_item(ssrc, figures)?;
        }
        let statistics = PyDict::new(py);
        add_counters(&statistics, &counters)?;
        statistics.set_item("retransmission_cache_bytes", cache_bytes)?;
        statistics.set_item("sources", sources)?;
        statistics.set_item("forwarder_participants", participants)?;
        let switch = self.switch()?;
        let work = py.detach(|| switch.figures()).map_err(Error::from)?;
        add_work(&statistics, &work)?;
        Ok(statistics)
    }

    fn participants<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let switch = self.switch()?;
        let figures = py.detach(|| switch.participants()).map_err(Error::from)?;
        figures.iter().map(|one| participant(py, one)).collect()
    }

    fn captured<'py>(&self, py: Python<'py>) -> Result<BTreeMap<u32, Bound<'py, PyBytes>>, Error> {
        let captured = self.each(py, |forwarder, _| forwarder.captured())?;
        let bytes = |(ssrc, kept): (u32, Vec<u8>)| (ssrc, PyBytes::new(py, &kept));
        Ok(captured.into_iter().flatten().map(bytes).collect())
    }

    fn close(&mut self, py: Python<'_>) {
        let switch = self.switch.take();
        py.detach(|| drop(switch));
    }
}

impl Switch {
    fn switch(&self) -> Result<&halfkey_switch::Switch, Error> {
        self.switch.as_ref().ok_or_else(closed)
    }

    /// Gives an instruction and waits for it, without holding up other Python threads.
    fn instruct(
        &self,
        py: Python<'_>,
        instruction: impl FnOnce(&halfkey_switch::Switch) -> Answer + Send,
    ) -> Result<(), Error> {
        let switch = self.switch()?;
        Ok(py.detach(|| instruction(switch))??)
    }

    /// Asks each worker, likewise.
    fn each<T: Send + 'static>(
        &self,
        py: Python<'_>,
        ask: impl Fn(&mut Forwarder, Duration) -> T + Copy + Send + Sync + 'static,
    ) -> Result<Vec<T>, Error> {
        let switch = self.switch()?;
        Ok(py.detach(|| switch.each(|_| ask))?)
    }
}

fn source((ssrc, kind): (u32, String)) -> Result<SourceConfig, Error> {
    let kind = match kind.as_str() {
        "audio" => Kind::Audio,
        "video" => Kind::Video,
        _ => return Err(malformed("a source's kind must be 'audio' or 'video'")),
    };
    Ok(SourceConfig { ssrc, kind })
}

pub(crate) fn socket_address(host: &str, port: u16) -> Result<SocketAddr, Error> {
    let address: IpAddr = host
        .parse()
        .map_err(|_| malformed("the host must be an IPv4 or IPv6 address"))?;
    Ok(SocketAddr::new(address, port))
}

pub(crate) fn host_and_port(address: SocketAddr) -> (String, u16) {
    (address.ip().to_string(), address.port())
}
