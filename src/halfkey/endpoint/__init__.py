"""An Endpoint of a PERC conference, as a library.

`Endpoint` joins, sends aiortc tracks, and gives everybody else's as tracks. `halfkey join` is
`halfkey.endpoint.process`.
"""

from __future__ import annotations

from halfkey.endpoint.aiortc_adapter import RemoteTrack
from halfkey.endpoint.core import EKTKeyInstalled, KeysSwitched, SendingStopped
from halfkey.endpoint.endpoint import Endpoint, JoinFailedError
from halfkey.endpoint.events import (
    EndpointStatistics,
    Event,
    Joined,
    Left,
    Reassociated,
    Reassociating,
    Rejoined,
    Rejoining,
    RemoteStatistics,
    Terminated,
    TrackAdded,
    TrackRemoved,
)
from halfkey.endpoint.options import EndpointOptions

__all__ = [
    "EKTKeyInstalled",
    "Endpoint",
    "EndpointOptions",
    "EndpointStatistics",
    "Event",
    "JoinFailedError",
    "Joined",
    "KeysSwitched",
    "Left",
    "Reassociated",
    "Reassociating",
    "Rejoined",
    "Rejoining",
    "RemoteStatistics",
    "RemoteTrack",
    "SendingStopped",
    "Terminated",
    "TrackAdded",
    "TrackRemoved",
]
