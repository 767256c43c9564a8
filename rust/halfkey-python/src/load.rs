//! The load generator, and the floor beside it.

use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use halfkey_load::{Association, Audience, Burst, EktParameters, FloodKind, Generator, Pattern};
use halfkey_load::{Progress, Report, Stream, measure_floor};
use halfkey_media::DoubleProfile;
use halfkey_udp::duplicate;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::{Error, malformed, seconds, unknown_profile};
use crate::figures::{latency, times};
use crate::switch::{host_and_port, socket_address};

/// A key and a salt.
type Keys = (Vec<u8>, Vec<u8>);
/// Bursts as (seconds, length, count), and the seconds after which they begin anew.
type Bursts = (Vec<(f64, usize, usize)>, f64);

/// All Endpoints of a run.
#[pyclass(module = "halfkey._media", frozen)]
pub(crate) struct LoadGenerator {
    generator: Mutex<Generator>,
    progress: Arc<Progress>,
    profile: DoubleProfile,
}

#[pymethods]
impl LoadGenerator {
    #[new]
    fn new(host: &str, port: u16, profile: u16, sample: u32) -> Result<Self, Error> {
        let generator = Generator::new(socket_address(host, port)?, sample)?;
        Ok(Self {
            progress: generator.progress(),
            generator: Mutex::new(generator),
            profile: double_profile(profile)?,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of a Python method"
    )]
    #[pyo3(signature = (conference, *, client, server, ekt, receives, stream = None, socket = None))]
    fn add(
        &self,
        conference: usize,
        client: Keys,
        server: Keys,
        ekt: (u16, Vec<u8>, Vec<u8>),
        receives: bool,
        stream: Option<(u32, Vec<u8>, u8, Bursts, f64)>,
        socket: Option<RawFd>,
    ) -> Result<(String, u16), Error> {
        let association = Association {
            profile: self.profile,
            client: (&client.0, &client.1),
            server: (&server.0, &server.1),
        };
        let ekt = EktParameters {
            spi: ekt.0,
            key: &ekt.1,
            salt: &ekt.2,
        };
        let (master_key, timing) = match stream {
            Some((ssrc, key, payload_type, bursts, phase)) => {
                let timing = (ssrc, payload_type, pattern(bursts)?, seconds(phase)?);
                (key, Some(timing))
            }
            None => (Vec::new(), None),
        };
        let stream = timing.map(|(ssrc, payload_type, pattern, phase)| Stream {
            ssrc,
            master_key: &master_key,
            payload_type,
            pattern,
            phase,
        });
        let mut generator = self
            .generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let address = match socket {
            None => generator.add(conference, &association, &ekt, stream, receives),
            Some(socket) => {
                let socket = duplicate(socket)?;
                generator.adopt(socket, conference, &association, &ekt, stream, receives)
            }
        };
        Ok(host_and_port(address?))
    }

    #[pyo3(signature = (time, flood = None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        time: f64,
        flood: Option<&str>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (time, flood) = (seconds(time)?, flood.map(flood_kind).transpose()?);
        let run = || {
            let mut generator = self
                .generator
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match flood {
                None => generator.run(time),
                Some(kind) => generator.run_flooded(time, kind),
            }
        };
        report(py, &py.detach(run)?)
    }

    fn progress(&self) -> (u64, u64) {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.progress.sent), load(&self.progress.received))
    }

    fn handed_back<'py>(&self, py: Python<'py>) -> Vec<(usize, Bound<'py, PyBytes>)> {
        let waiting = self.progress.handed_back.take().into_iter();
        waiting
            .map(|(participant, datagram)| (participant, PyBytes::new(py, &datagram)))
            .collect()
    }

    fn stop(&self) {
        self.progress.stop.store(true, Ordering::Relaxed);
    }
}

/// Microseconds of CPU for a datagram: sent, and sealed.
#[pyfunction]
pub(crate) fn measure_load_floor(
    py: Python<'_>,
    host: &str,
    profile: u16,
    bursts: Bursts,
    conferences: usize,
    receivers: usize,
    time: f64,
) -> Result<(f64, f64), Error> {
    let host: IpAddr = socket_address(host, 0)?.ip();
    let (profile, pattern) = (double_profile(profile)?, pattern(bursts)?);
    let time = seconds(time)?;
    let audience = Audience {
        conferences,
        receivers,
    };
    let floor = py.detach(|| measure_floor(host, profile, &pattern, audience, time))?;
    Ok((floor.send, floor.seal))
}

fn flood_kind(name: &str) -> Result<FloodKind, Error> {
    match name {
        "garbage" => Ok(FloodKind::Garbage),
        "replay" => Ok(FloodKind::Replay),
        "unknown" => Ok(FloodKind::Unknown),
        _ => Err(malformed("a flood is 'garbage', 'replay' or 'unknown'")),
    }
}

fn double_profile(profile: u16) -> Result<DoubleProfile, Error> {
    DoubleProfile::from_code_point(profile).ok_or_else(|| unknown_profile(profile))
}

fn pattern((bursts, period): Bursts) -> Result<Pattern, Error> {
    let bursts = bursts
        .into_iter()
        .map(|(at, length, count)| {
            Ok(Burst {
                at: seconds(at)?,
                length,
                count,
            })
        })
        .collect::<Result<_, Error>>()?;
    Pattern::new(bursts, seconds(period)?).ok_or_else(|| malformed("that is no traffic pattern"))
}

fn report<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let figures = PyDict::new(py);
    figures.set_item("seconds", report.sending.as_secs_f64())?;
    figures.set_item("sent", report.sent)?;
    figures.set_item("unsent", report.unsent)?;
    figures.set_item("due", report.due)?;
    figures.set_item("behind", report.behind.as_secs_f64() * 1e6)?;
    figures.set_item("offered", report.offered)?;
    figures.set_item("received", report.arrivals.received)?;
    figures.set_item("duplicated", report.arrivals.duplicated)?;
    figures.set_item("reordered", report.arrivals.reordered)?;
    figures.set_item("authenticated", report.arrivals.authenticated)?;
    figures.set_item("failed", report.arrivals.failed)?;
    figures.set_item("loss", report.loss)?;
    figures.set_item("flooded", report.flooded)?;
    figures.set_item("latency", times(py, &report.latency)?)?;
    figures.set_item("latencies", latency(py, &report.latency)?)?;
    figures.set_item("lateness", times(py, &report.lateness)?)?;
    Ok(figures)
}
