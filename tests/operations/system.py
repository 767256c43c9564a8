"""All three roles as processes, as an operator runs them, and what they say when they are asked."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from halfkey.pki import make_certificate

ANY = "127.0.0.1:0"
PATIENCE = 30.0
_PLACE = re.compile(r"([a-z]+) (\S+:\d+)")


class Role:
    """A process of `halfkey`, with its stderr in a file."""

    def __init__(self, folder: Path, arguments: list[str], launcher: Sequence[str] = ()) -> None:
        self.log = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*launcher, sys.executable, "-m", "halfkey", *arguments],
                stderr=log,
                stdout=log,
            )

    def places(self) -> dict[str, str]:
        """Waits for the line that says where it listens."""
        line = eventually(lambda: next((x for x in self.lines() if "ready (" in x), ""), self)
        return dict(_PLACE.findall(line.partition("ready (")[2]))

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def eventually(what: Any, role: Role | None = None) -> Any:
    """Asks until the answer is true."""
    deadline = time.monotonic() + PATIENCE
    while not (value := what()):
        assert time.monotonic() < deadline, "it never came to be"
        assert role is None or role.process.poll() is None, role.log.read_text()
        time.sleep(0.02)
    return value


def get(place: str, path: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://{place}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as fault:
        with fault:
            return fault.code, fault.read().decode()


def samples(place: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The metrics of a role: by name, values by labels."""
    status, text = get(place, "/metrics")
    assert status == 200
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def figure(place: str, name: str, **labels: str) -> float:
    """One value; 0 where there is none with these labels."""
    return samples(place)[name].get(tuple(sorted(labels.items())), 0.0)


def faults(place: str) -> list[str]:
    """Why the role isn't ready."""
    status, body = get(place, "/readyz")
    answer = json.loads(body)
    assert answer["ready"] is (status == 200) is (not answer["faults"])
    told: list[str] = answer["faults"]
    return told


class System:
    """A Key Distributor, a Media Distributor and a Focus; `metrics` is where each is asked.

    Args:
        folder: for certificates, state and logs.
        launcher: a command that runs a command, to run the roles with.
    """

    def __init__(self, folder: Path, launcher: Sequence[str] = ()) -> None:
        self.folder = folder
        self._launcher = launcher
        self.roles: dict[str, Role] = {}
        self.places: dict[str, dict[str, str]] = {}
        self._joined: list[Role] = []
        for name in ("kd", "md", "focus"):
            make_certificate(folder, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None
    ) -> None:
        for role in (*self._joined, *self.roles.values()):
            role.end()

    def metrics(self, name: str) -> str:
        return self.places[name]["metrics"]

    def start_all(self, **drain_seconds: float) -> Self:
        for name in ("kd", "md", "focus"):
            self.start(name, drain_seconds.get(name, 5.0))
        for name in self.roles:
            eventually(lambda name=name: not faults(self.metrics(name)))
        return self

    def start(self, name: str, drain_seconds: float = 5.0) -> Role:
        arguments = [name, *self._own(name), *getattr(self, f"_{name}")()]
        arguments += ["--metrics-listen", ANY, "--drain-seconds", str(drain_seconds)]
        arguments += ["--log-format", "json", "--log-level", "info"]
        self.roles[name] = Role(self.folder, arguments, self._launcher)
        self.places[name] = self.roles[name].places()
        return self.roles[name]

    def join(self, name: str) -> Role:
        """Has somebody join, and waits until the Media Distributor could forward for them."""
        before = figure(self.metrics("kd"), "halfkey_kd_associations_total")
        options = ["--focus", f"https://{self.places['focus']['focus']}", "--name", name]
        options += ["--trust-focus", self._pem("focus"), "--conference", "talk"]
        role = Role(self.folder, ["join", *options])
        self._joined.append(role)
        eventually(
            lambda: figure(self.metrics("kd"), "halfkey_kd_associations_total") > before, role
        )
        return role

    def log(self, name: str) -> list[dict[str, Any]]:
        """The JSON lines of a role's log."""
        return list(self._parsed(self.roles[name].lines()))

    @staticmethod
    def _parsed(lines: list[str]) -> Iterator[dict[str, Any]]:
        for line in lines:
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def _pem(self, name: str) -> str:
        return str(self.folder / f"{name}.crt")

    def _own(self, name: str) -> list[str]:
        return ["--certificate", self._pem(name), "--key", str(self.folder / f"{name}.key")]

    def _kd(self) -> list[str]:
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        trust = ["--trust-media-distributors", self._pem("md"), "--trust-focuses"]
        options = [*trust, self._pem("focus"), "--state", str(state), "--believe-focus"]
        return [*options, "--tunnel-listen", ANY, "--admission-listen", ANY]

    def _md(self) -> list[str]:
        trust = ["--trust-key-distributors", self._pem("kd"), "--trust-focuses"]
        options = [*trust, self._pem("focus"), "--media-listen", ANY, "--control-listen", ANY]
        return [*options, "--key-distributor", self.places["kd"]["tunnel"]]

    def _focus(self) -> list[str]:
        trust = ["--trust-key-distributors", self._pem("kd"), "--trust-media-distributors"]
        options = [*trust, self._pem("md"), "--listen", ANY]
        options += ["--key-distributor", f"https://{self.places['kd']['admission']}"]
        return [*options, "--media-distributor", f"https://{self.places['md']['control']}"]
