"""What a conference may be called: an Endpoint asks before it joins, and a Focus whenever."""

from __future__ import annotations

import re

_CONFERENCE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_conference_name(name: str) -> bool:
    """Whether a conference may be called so; names of dots alone would be steps in a URL path."""
    return _CONFERENCE_NAME.fullmatch(name) is not None and name.strip(".") != ""
