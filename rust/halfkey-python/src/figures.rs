//! What was counted, as dictionaries.

use std::time::Duration;

use halfkey_media::forwarder::{Kind, ParticipantFigures, Statistics, StreamFigures};
use halfkey_media::histogram::{Histogram, Sizes};
use halfkey_switch::Figures;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Microseconds; none where nothing was counted.
pub(crate) fn times<'py>(py: Python<'py>, histogram: &Histogram) -> PyResult<Bound<'py, PyDict>> {
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    let quantile = |share| histogram.quantile(share).map(microseconds);
    let figures = PyDict::new(py);
    figures.set_item("p50", quantile(0.5))?;
    figures.set_item("p99", quantile(0.99))?;
    figures.set_item("p99.9", quantile(0.999))?;
    let longest = (histogram.total() > 0).then(|| microseconds(histogram.longest()));
    figures.set_item("longest", longest)?;
    Ok(figures)
}

/// Seconds, each with how many took no longer, and longer than the one before.
pub(crate) fn latency<'py>(py: Python<'py>, histogram: &Histogram) -> PyResult<Bound<'py, PyDict>> {
    let counts = histogram.counts();
    let counts: Vec<_> = counts
        .map(|(longest, count)| (longest.as_secs_f64(), count))
        .collect();
    let figures = PyDict::new(py);
    figures.set_item("counts", counts)?;
    figures.set_item("sum", histogram.sum().as_secs_f64())?;
    Ok(figures)
}

fn sizes<'py>(py: Python<'py>, sizes: &Sizes) -> PyResult<Bound<'py, PyDict>> {
    let figures = PyDict::new(py);
    figures.set_item("counts", sizes.counts().collect::<Vec<_>>())?;
    figures.set_item("sum", sizes.sum())?;
    Ok(figures)
}

/// Adds the counters of the forwarders.
pub(crate) fn add_counters(statistics: &Bound<'_, PyDict>, counters: &Statistics) -> PyResult<()> {
    for (name, count) in [
        ("received_packets", counters.received_packets),
        ("handed_over_packets", counters.handed_over_packets),
        ("forwarded_packets", counters.forwarded_packets),
        ("retransmitted_packets", counters.repeated.packets),
        ("retransmitted_bytes", counters.repeated.bytes),
        ("retransmission_cache_hits", counters.cache_hits),
        ("retransmission_cache_misses", counters.cache_misses),
        ("retransmission_cache_refusals", counters.cache_refusals),
        ("sent_rtcp_packets", counters.sent_rtcp_packets),
        ("answered_checks", counters.answered_checks),
        ("keyframe_requests", counters.keyframe_requests),
    ] {
        statistics.set_item(name, count)?;
    }
    statistics.set_item("dropped", counters.dropped())
}

/// Adds what the workers counted of their work.
pub(crate) fn add_work(statistics: &Bound<'_, PyDict>, figures: &Figures) -> PyResult<()> {
    let py = statistics.py();
    statistics.set_item("added_latency", latency(py, &figures.added_latency)?)?;
    statistics.set_item("received_at_once", sizes(py, &figures.batches)?)?;
    statistics.set_item("sent_at_once", sizes(py, &figures.calls)?)?;
    statistics.set_item("segments", sizes(py, &figures.segments)?)
}

pub(crate) fn participant<'py>(
    py: Python<'py>,
    figures: &ParticipantFigures,
) -> PyResult<Bound<'py, PyDict>> {
    let streams = figures.streams.iter().map(|one| stream(py, one));
    let dictionary = PyDict::new(py);
    dictionary.set_item("participant", figures.id)?;
    dictionary.set_item("received_packets", figures.received.packets)?;
    dictionary.set_item("received_bytes", figures.received.bytes)?;
    dictionary.set_item("refused_packets", figures.refused)?;
    dictionary.set_item("sent_packets", figures.sent.packets)?;
    dictionary.set_item("sent_bytes", figures.sent.bytes)?;
    dictionary.set_item("unsent_packets", figures.unsent)?;
    dictionary.set_item("streams", streams.collect::<PyResult<Vec<_>>>()?)?;
    Ok(dictionary)
}

fn stream<'py>(py: Python<'py>, figures: &StreamFigures) -> PyResult<Bound<'py, PyDict>> {
    let kind = match figures.kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
    };
    let dictionary = PyDict::new(py);
    dictionary.set_item("ssrc", figures.ssrc)?;
    dictionary.set_item("kind", kind)?;
    dictionary.set_item("received_packets", figures.reception.received)?;
    dictionary.set_item("received_bytes", figures.received_bytes)?;
    dictionary.set_item("lost", figures.reception.lost)?;
    dictionary.set_item("jitter", figures.reception.jitter)?;
    dictionary.set_item("receivers", figures.receivers)?;
    dictionary.set_item("sent_packets", figures.sent.packets)?;
    dictionary.set_item("sent_bytes", figures.sent.bytes)?;
    dictionary.set_item("retransmitted_packets", figures.repeated.packets)?;
    dictionary.set_item("retransmitted_bytes", figures.repeated.bytes)?;
    Ok(dictionary)
}
