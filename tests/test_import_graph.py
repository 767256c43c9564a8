"""The layer rule, and what the Media Distributor may reach, held by reading the imports.

Every module's imports are taken from its source, so that an import inside a function or under
TYPE_CHECKING counts as well.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"

WIRE, ENGINE, CORE, SERVICE, COMMAND = range(5)

# Where a module stands, by the longest prefix of its name.
LAYERS = {
    "halfkey": WIRE,
    "halfkey._media": WIRE,
    "halfkey.conference_name": WIRE,
    "halfkey.errors": WIRE,
    "halfkey.codec": WIRE,
    "halfkey.demux": WIRE,
    "halfkey.profiles": WIRE,
    "halfkey.ekt.messages": WIRE,
    "halfkey.tunnel.messages": WIRE,
    "halfkey.sdp": WIRE,
    "halfkey.backoff": WIRE,
    "halfkey.configuration": SERVICE,
    "halfkey.engine_timer": SERVICE,
    "halfkey.audit": SERVICE,
    "halfkey.audit.answer": CORE,
    "halfkey.audit.chain": CORE,
    "halfkey.audit.export": CORE,
    "halfkey.audit.faults": CORE,
    "halfkey.audit.holders": CORE,
    "halfkey.audit.records": CORE,
    "halfkey.audit.refusals": CORE,
    "halfkey.event_stream": WIRE,
    "halfkey.followers": SERVICE,
    "halfkey.hosts": WIRE,
    "halfkey.http_body": SERVICE,
    "halfkey.json_api": SERVICE,
    "halfkey.local_serving": SERVICE,
    "halfkey.operations": SERVICE,
    "halfkey.peering": SERVICE,
    "halfkey.pki": SERVICE,
    "halfkey.serving": SERVICE,
    "halfkey.tls": SERVICE,
    "halfkey.dtls": ENGINE,
    "halfkey.ekt": ENGINE,
    "halfkey.tunnel": ENGINE,
    "halfkey.ice": ENGINE,
    "halfkey.identity": ENGINE,
    "halfkey.identity.jwks": SERVICE,
    "halfkey.vouching": ENGINE,
    "halfkey.key_distributor": SERVICE,
    "halfkey.key_distributor.core": CORE,
    "halfkey.key_distributor.association": CORE,
    "halfkey.key_distributor.conference": CORE,
    "halfkey.key_distributor.credentials": CORE,
    "halfkey.key_distributor.events": CORE,
    "halfkey.key_distributor.guarding": CORE,
    "halfkey.key_distributor.handshakes": CORE,
    "halfkey.key_distributor.keying": CORE,
    "halfkey.key_distributor.policy": CORE,
    "halfkey.key_distributor.registry": CORE,
    "halfkey.key_distributor.statistics": CORE,
    "halfkey.key_distributor.timers": CORE,
    "halfkey.key_distributor.tunnels": CORE,
    "halfkey.media_distributor": SERVICE,
    "halfkey.media_distributor.associations": CORE,
    "halfkey.media_distributor.core": CORE,
    "halfkey.media_distributor.conference": CORE,
    "halfkey.media_distributor.events": CORE,
    "halfkey.media_distributor.request": CORE,
    "halfkey.focus": SERVICE,
    "halfkey.focus.core": CORE,
    "halfkey.endpoint": SERVICE,
    "halfkey.endpoint.core": CORE,
    "halfkey.endpoint.payload": CORE,
    "halfkey.endpoint.roster": CORE,
    "halfkey.endpoint.statistics": CORE,
    "halfkey.recorder": SERVICE,
    "halfkey.recorder.audio": CORE,
    "halfkey.recorder.canvas": CORE,
    "halfkey.recorder.clock": CORE,
    "halfkey.recorder.grid": CORE,
    "halfkey.recorder.layout": CORE,
    "halfkey.recorder.recording": CORE,
    "halfkey.recorder.scene": CORE,
    "halfkey.recorder.speaker": CORE,
    "halfkey.recorder.timeline": CORE,
    "halfkey.cli": COMMAND,
    "halfkey.__main__": COMMAND,
}

SERVICE_ONLY = {"asyncio", "socket", "selectors", "time", "aiohttp", "threading", "random", "ssl"}
"""What an engine or a core may not import: it has no I/O, no clock, no randomness of its own."""

MEDIA_DISTRIBUTOR_MEDIA_NAMES = {"MAX_WORKERS", "Switch"}
"""All that the Media Distributor may name of `halfkey._media`, which also has Endpoint types."""


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yields (module, name) for each import; `name` is None for a plain ``import module``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a thing comes from"
            assert node.module is not None
            yield from ((node.module, alias.name) for alias in node.names)


def targets(path: Path) -> Iterator[str]:
    """Yields the modules imported; ``from package import module`` names the module."""
    for module, name in imports(path):
        whole = f"{module}.{name}"
        yield whole if name is not None and whole in MODULES else module


def layer(module: str) -> int:
    while module not in LAYERS:
        module = module.rpartition(".")[0]
    return LAYERS[module]


def reach(start: str) -> set[str]:
    """All modules of this package that importing a package or module may load."""
    waiting = [name for name in MODULES if name == start or name.startswith(f"{start}.")]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module in MODULES:
            waiting += [t for t in targets(MODULES[module]) if t.split(".")[0] == "halfkey"]
    return seen


def test_the_graph_is_read() -> None:
    """The control of every test below: known imports are seen."""
    assert "halfkey.codec" in set(targets(MODULES["halfkey.ekt.messages"]))
    assert "halfkey.ekt.messages" in reach("halfkey.dtls")
    assert "halfkey.ekt.messages" in reach("halfkey.key_distributor")
    assert "halfkey.dtls" in reach("halfkey.endpoint")


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module: str) -> None:
    for target in targets(MODULES[module]):
        if target.split(".")[0] == "halfkey":
            assert layer(target) <= layer(module), f"{module} imports {target}, a layer above it"


@pytest.mark.parametrize("module", [name for name in MODULES if layer(name) <= CORE])
def test_engines_have_no_io_and_no_clock(module: str) -> None:
    for target in targets(MODULES[module]):
        assert target.split(".")[0] not in SERVICE_ONLY, f"{module} imports {target}"


@pytest.mark.parametrize("forbidden", ["halfkey.ekt", "halfkey.dtls", "halfkey.endpoint"])
def test_the_media_distributor_reaches_no_end_to_end_key_type(forbidden: str) -> None:
    reached = reach("halfkey.media_distributor")
    assert not [name for name in reached if (name + ".").startswith(forbidden + ".")]


def test_the_media_distributor_names_only_the_switch_of_the_rust_module() -> None:
    names = {
        name
        for module in reach("halfkey.media_distributor")
        if module in MODULES
        for target, name in imports(MODULES[module])
        if target == "halfkey._media"
    }
    assert names == MEDIA_DISTRIBUTOR_MEDIA_NAMES


def test_only_the_load_test_names_the_load_generator() -> None:
    """It holds end-to-end keys of all Endpoints of a run."""
    named = {
        module
        for module, path in MODULES.items()
        for target, name in imports(path)
        if target == "halfkey._media" and name in {"LoadGenerator", "measure_load_floor"}
    }
    assert named
    assert all(module.startswith("halfkey.cli.load.") for module in named)


LOADED = """
import sys, {module}
print(*(name for name in sys.modules if name.startswith("halfkey")))
"""


def loaded_by(module: str) -> set[str]:
    run = [sys.executable, "-c", LOADED.format(module=module)]
    return set(subprocess.run(run, capture_output=True, check=True, text=True).stdout.split())


def test_a_running_media_distributor_has_not_loaded_them() -> None:
    loaded = loaded_by("halfkey.media_distributor.service")
    assert not {name for name in loaded if name.startswith(("halfkey.ekt", "halfkey.dtls"))}
    control = loaded_by("halfkey.key_distributor.service")
    assert {"halfkey.ekt.messages", "halfkey.dtls"} <= control


def test_rust_forwarder_is_compiled_without_endpoint_types() -> None:
    """halfkey-switch asks for halfkey-media without the feature that has the E2E and EKT types."""
    root = SOURCE.parent
    workspace = (root / "Cargo.toml").read_text()
    assert 'halfkey-media = { path = "rust/halfkey-media", default-features = false }' in workspace
    switch = (root / "rust/halfkey-switch/Cargo.toml").read_text()
    assert "halfkey-media.workspace = true" in switch
    tree = ["cargo", "tree", "--package", "halfkey-switch", "--edges", "features"]
    listed = subprocess.run(tree, capture_output=True, check=True, text=True, cwd=root).stdout
    assert "halfkey-media" in listed
    assert 'feature "endpoint"' not in listed
    control = subprocess.run(
        ["cargo", "tree", "--package", "halfkey-python", "--edges", "features"],
        capture_output=True,
        check=True,
        text=True,
        cwd=root,
    ).stdout
    assert 'feature "endpoint"' in control


def test_the_reference_shares_no_code_with_what_it_judges() -> None:
    reference = sorted((Path(__file__).parent / "reference").rglob("*.py"))
    assert reference
    for path in reference:
        named = {module.partition(".")[0] for module, _ in imports(path)}
        assert "halfkey" not in named, path
    judging = Path(__file__).parent / "media" / "test_double.py"
    assert "halfkey" in {module.partition(".")[0] for module, _ in imports(judging)}
