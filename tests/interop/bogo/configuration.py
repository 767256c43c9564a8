"""config.json: which of the runner's tests are left out, why, and BoringSSL's errors in our words.

The runner reads the same file (`ShimConfiguration` in its runner.go).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("config.json")
_PATTERN = re.compile(r"[A-Za-z0-9_*-]+")
_ERROR = re.compile(r":[A-Z0-9_]+:")
_KEYS = {"DisabledTests", "ErrorMap", "MaxACKBuffer"}
MAXIMUM_REASON = 100
"""Reasons are one line."""


class ConfigurationFault(Exception):  # noqa: N818 (named for what is wrong)
    """config.json is not as it should be; the text says where."""


@dataclass(frozen=True)
class Configuration:
    """What config.json says.

    Attributes:
        exclusions: the reason by the pattern; in a pattern `*` stands for anything.
        errors: what our shim says, any of several, by what BoringSSL's says.
    """

    exclusions: Mapping[str, str]
    errors: Mapping[str, tuple[str, ...]]

    def exclusions_of(self, test: str) -> list[str]:
        """The patterns that leave a test out."""
        return [pattern for pattern in self.exclusions if matches(pattern, test)]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")))


def matches(pattern: str, test: str) -> bool:
    """Whether a pattern means a test, as the runner sees it."""
    return _compiled(pattern).fullmatch(test) is not None


def load(path: Path = PATH) -> Configuration:
    """Reads and checks a file.

    Raises:
        ConfigurationFault: it can't be read, or something in it is wrong.
    """
    try:
        content = json.loads(path.read_text(), object_pairs_hook=_without_repetition)
    except (OSError, ValueError) as error:
        raise ConfigurationFault(f"{path.name}: {error}") from error
    if not isinstance(content, dict) or set(content) != _KEYS:
        raise ConfigurationFault(f"{path.name}: its keys must be {', '.join(sorted(_KEYS))}")
    exclusions, errors = content["DisabledTests"], content["ErrorMap"]
    for pattern, reason in exclusions.items():
        _check_exclusion(pattern, reason)
    for error, texts in errors.items():
        if not _ERROR.fullmatch(error) or not texts or not all(texts):
            raise ConfigurationFault(f"{error}: needs one or more texts of our shim")
    return Configuration(exclusions, {error: tuple(texts) for error, texts in errors.items()})


def _check_exclusion(pattern: str, reason: str) -> None:
    if not _PATTERN.fullmatch(pattern) or not pattern.strip("*-"):
        raise ConfigurationFault(f"{pattern!r}: a pattern is a test's name, with * for any part")
    if not isinstance(reason, str) or not reason.strip() or "\n" in reason:
        raise ConfigurationFault(f"{pattern}: its reason must be one line of text")
    if len(reason) > MAXIMUM_REASON or reason != reason.strip():
        raise ConfigurationFault(
            f"{pattern}: its reason must have {MAXIMUM_REASON} letters or less"
        )


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key} stands twice")
        found[key] = value
    return found
