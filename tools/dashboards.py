"""Writes deploy/grafana/<role>.json from the table below: one panel a line.

Run it after a change: ``python tools/dashboards.py``. A test holds that it was run, and that every
metric named here is one that the role really has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "deploy" / "grafana"

_COLUMNS, _WIDTH, _HEIGHT = 2, 12, 8

Panel = tuple[str, str, str, str]
"""Title, query with ROLE for the role's prefix, legend, Grafana's name of the unit."""

_COMMON: list[Panel] = [
    ("Ready", "ROLE_ready", "ready", "bool_yes_no"),
    ("Draining", "ROLE_draining", "draining", "bool_yes_no"),
    ("Conferences", "ROLE_conferences", "conferences", "short"),
    (
        "Requests",
        "sum by (route, status) (rate(ROLE_requests_total[5m]))",
        "{{route}} {{status}}",
        "reqps",
    ),
    (
        "Certificates end in",
        "ROLE_certificate_expiry_timestamp_seconds - time()",
        "{{certificate}}",
        "s",
    ),
    ("CPU", "rate(ROLE_process_cpu_seconds_total[5m])", "cores", "short"),
    ("Memory", "ROLE_process_resident_memory_bytes", "resident", "bytes"),
    ("Open files", "ROLE_process_open_fds", "open", "short"),
    ("Version", "ROLE_build_info", "{{version}}", "short"),
]

PANELS: dict[str, list[Panel]] = {
    "kd": [
        ("Participants", "ROLE_participants", "admitted", "short"),
        ("Associations", "ROLE_associations_active", "active", "short"),
        ("Handshakes", "ROLE_handshakes_active", "under way", "short"),
        ("Handshakes completed", "rate(ROLE_associations_total[5m])", "completed", "ops"),
        (
            "Associations refused",
            "sum by (reason) (rate(ROLE_associations_refused_total[5m]))",
            "{{reason}}",
            "ops",
        ),
        (
            "Associations ended",
            "sum by (reason) (rate(ROLE_associations_ended_total[5m]))",
            "{{reason}}",
            "ops",
        ),
        (
            "Tunnel messages dropped",
            "sum by (reason) (rate(ROLE_messages_dropped_total[5m]))",
            "{{reason}}",
            "ops",
        ),
        (
            "DTLS dropped",
            "sum by (reason) (rate(ROLE_dtls_dropped_total[5m]))",
            "{{reason}}",
            "ops",
        ),
        ("Tunnels", "ROLE_tunnels", "tunnels", "short"),
        ("EKT keys issued", "rate(ROLE_ekt_keys_issued_total[5m])", "issued", "ops"),
        (
            "EKT keys acknowledged",
            "rate(ROLE_ekt_keys_acknowledged_total[5m])",
            "acknowledged",
            "ops",
        ),
        ("Rekeys", "rate(ROLE_rekeys_total[5m])", "rekeys", "ops"),
        (
            "Rekeys take, 99 of 100",
            "histogram_quantile(0.99, sum by (le, reason) (rate(ROLE_rekey_seconds_bucket[15m])))",
            "{{reason}}",
            "s",
        ),
    ],
    "md": [
        ("Participants", "ROLE_participants", "allocated", "short"),
        ("Tunnel", "ROLE_tunnel_up", "up", "bool_yes_no"),
        ("Packets received", "rate(ROLE_packets_received_total[1m])", "received", "pps"),
        (
            "Packets handed between workers",
            "rate(ROLE_packets_handed_over_total[1m])",
            "handed over",
            "pps",
        ),
        ("Packets forwarded", "rate(ROLE_packets_forwarded_total[1m])", "forwarded", "pps"),
        (
            "Packets dropped",
            "sum by (reason) (rate(ROLE_packets_dropped_total[1m]))",
            "{{reason}}",
            "pps",
        ),
        ("Packets sent again", "rate(ROLE_packets_retransmitted_total[1m])", "sent again", "pps"),
        (
            "Asked for again, kept no more",
            "rate(ROLE_retransmission_cache_misses_total[1m])",
            "missed",
            "pps",
        ),
        (
            "Memory for packets sent again",
            "ROLE_retransmission_cache_bytes",
            "taken",
            "bytes",
        ),
        ("Packets lost on the way here", "ROLE_sources_packets_lost", "lost", "short"),
        ("Sources", "ROLE_sources", "sources", "short"),
        ("Associations carried", "ROLE_associations_active", "associations", "short"),
        ("RTCP packets sent", "rate(ROLE_rtcp_packets_sent_total[5m])", "sent", "pps"),
        ("Key frames asked for", "rate(ROLE_keyframe_requests_total[5m])", "asked for", "ops"),
    ],
    "focus": [
        ("Participants", "ROLE_participants", "{{state}}", "short"),
        ("Distributors that answer", "ROLE_distributor_up", "{{distributor}}", "bool_yes_no"),
        ("Event streams", "ROLE_event_streams", "streams", "short"),
    ],
}

TITLES = {"kd": "Key Distributor", "md": "Media Distributor", "focus": "Focus"}


def queries(role: str) -> list[str]:
    """The queries of a role's dashboard."""
    return [_query(panel, role) for panel in (*PANELS[role], *_COMMON)]


def dashboard(role: str) -> str:
    """The file for a role."""
    panels = [*PANELS[role], *_COMMON]
    content: dict[str, Any] = {
        "title": f"Halfkey {TITLES[role]}",
        "uid": f"halfkey-{role}",
        "tags": ["halfkey"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "type": "datasource", "query": "prometheus", "label": "Source"}
            ]
        },
        "panels": [_panel(panel, role, number) for number, panel in enumerate(panels)],
    }
    return json.dumps(content, indent=2) + "\n"


def _query(panel: Panel, role: str) -> str:
    return panel[1].replace("ROLE", f"halfkey_{role}")


def _panel(panel: Panel, role: str, number: int) -> dict[str, Any]:
    title, _, legend, unit = panel
    row, column = divmod(number, _COLUMNS)
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": "A",
                "datasource": source,
                "expr": _query(panel, role),
                "legendFormat": f"{legend} {{{{instance}}}}",
            }
        ],
    }


if __name__ == "__main__":
    for name in PANELS:
        (FOLDER / f"{name}.json").write_text(dashboard(name))
