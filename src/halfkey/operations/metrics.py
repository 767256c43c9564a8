"""A role's metrics for Prometheus, made when they are asked for and never before.

Each role has a registry of its own: nothing that another library registers gets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from halfkey import __version__
from halfkey.operations.distribution import Distribution
from halfkey.operations.families import BY_ROLE, COUNTER, GAUGE, HISTOGRAM, Family
from halfkey.operations.role import Operated

MAXIMUM_LABEL_VALUES = 128
"""Of one metric; what exceeds them is summed up as `OTHER`."""

OTHER = "other"

_REKEY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """What one role shows to Prometheus.

    Args:
        role: ``"kd"``, ``"md"`` or ``"focus"``.
        operated: gives the figures.
        expiries: Unix times at which the role's certificates end, by short names.
    """

    def __init__(self, role: str, operated: Operated, expiries: Mapping[str, float]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_RoleCollector(role, operated, expiries))
        prefix = f"halfkey_{role}"
        ProcessCollector(namespace=prefix, registry=self._registry)
        self._rekeys = _rekeys(prefix, self._registry) if role == "kd" else None

    def rekeyed(self, seconds: float, reason: str) -> None:
        """Notes how long a rekey took, from the decision to the last acknowledgement."""
        if self._rekeys is not None:
            self._rekeys.labels(reason).observe(seconds)

    def exposition(self) -> bytes:
        """All metrics as they are now, in Prometheus's text format."""
        return generate_latest(self._registry)


def _rekeys(prefix: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(
        f"{prefix}_rekey_seconds",
        "From the decision to the last acknowledgement.",
        ("reason",),
        buckets=_REKEY_BUCKETS,
        registry=registry,
    )


class _RoleCollector(Collector):
    """Makes metrics of a role's statistics."""

    def __init__(self, role: str, operated: Operated, expiries: Mapping[str, float]) -> None:
        self._prefix = f"halfkey_{role}_"
        self._role = role
        self._operated = operated
        self._expiries = expiries

    def describe(self) -> Iterable[Metric]:
        """Nothing: to be asked at registration would be too early."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yields every metric of the role."""
        statistics = self._operated.statistics()
        for family in BY_ROLE[self._role]:
            value = _at(statistics, family.path)
            if value is not None:
                yield self._metric(family, value)
        yield self._requests()
        yield self._gauge("ready", "Whether the role is of use: 1 or 0.", self._is_ready())
        yield self._gauge(
            "draining", "Whether nobody new is taken: 1 or 0.", self._operated.is_draining
        )
        yield self._labelled(
            "certificate_expiry_timestamp_seconds",
            "When a certificate ends, in Unix seconds.",
            ("certificate", self._expiries),
        )
        yield self._labelled("build_info", "Its version.", ("version", {__version__: 1}))

    def _is_ready(self) -> bool:
        return not self._operated.faults()

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        return GaugeMetricFamily(self._prefix + name, text, value=value)

    def _labelled(self, name: str, text: str, values: tuple[str, Mapping[str, float]]) -> Metric:
        label, figures = values
        metric = GaugeMetricFamily(self._prefix + name, text, labels=[label])
        for value, figure in figures.items():
            metric.add_metric([value], figure)
        return metric

    def _metric(self, family: Family, value: Any) -> Metric:
        if family.kind == HISTOGRAM:
            return self._histogram(family, Distribution.of(value))
        labels = [] if family.label is None else [family.label]
        metric: CounterMetricFamily | GaugeMetricFamily = _KINDS[family.kind](
            self._prefix + family.name, family.help, labels=labels
        )
        if family.label is None:
            metric.add_metric([], value)
        else:
            for label, figure in _bounded(value).items():
                metric.add_metric([label], figure)
        return metric

    def _histogram(self, family: Family, found: Distribution) -> Metric:
        buckets = [(str(at), count) for at, count in found.cumulative(family.buckets)]
        return HistogramMetricFamily(
            self._prefix + family.name,
            family.help,
            buckets=[*buckets, ("+Inf", found.total)],
            sum_value=found.sum,
        )

    def _requests(self) -> Metric:
        metric = CounterMetricFamily(
            f"{self._prefix}requests", "API requests.", labels=["method", "route", "status"]
        )
        for labels, count in self._operated.requests.items():
            metric.add_metric(labels, count)
        return metric


_KINDS = {COUNTER: CounterMetricFamily, GAUGE: GaugeMetricFamily}


def _at(statistics: Mapping[str, Any], path: str) -> Any:
    """What the statistics have there; None if they haven't."""
    found: Any = statistics
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _bounded(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures of at most so many labels."""
    kept = dict(list(figures.items())[:MAXIMUM_LABEL_VALUES])
    if len(figures) > len(kept):
        kept[OTHER] = kept.get(OTHER, 0) + sum(list(figures.values())[MAXIMUM_LABEL_VALUES:])
    return kept
