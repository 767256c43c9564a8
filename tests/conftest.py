"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes is for benchmarks: here it would fail for what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
