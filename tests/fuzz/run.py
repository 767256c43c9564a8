"""`make fuzz SECONDS=60`: every target in turn; findings are kept and named.

What is Python is fuzzed with atheris, the packet path in Rust by the crate in `fuzz/`; both are
libFuzzer. A target runs in a process of its own, which a finding ends. Corpus and findings are in
the user's cache; the corpus begins with the seeds and is kept from run to run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.rust import RUST_TARGETS, program, write_seeds
from tests.interop.dtls.absence import AbsentError
from tests.interop.dtls.building import cache, python_package

ATHERIS = "atheris>=3,<4"
LARGEST_INPUT = 4096
ROOT = Path(__file__).parents[2]


def fuzz(target: str, limit: str, findings: Path | None = None) -> int:
    """Fuzzes one target in a child; gives its exit status, which isn't 0 after a finding.

    Args:
        target: its name.
        limit: libFuzzer's option that ends it, such as ``-max_total_time=60``, ``-runs=1000``.
        findings: the folder for inputs that break an invariant; None: the one in the cache.

    Raises:
        AbsentError: atheris has no wheel for this Python, or the crate doesn't build.
    """
    findings = findings or cache() / "fuzz" / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    options = (limit, f"-max_len={LARGEST_INPUT}", f"-artifact_prefix={findings / target}-")
    command, environment = _rust(target) if target in RUST_TARGETS else _python(target)
    return subprocess.run(
        (*command, *options),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode


def _python(target: str) -> tuple[tuple[str, ...], dict[str, str]]:
    path = os.pathsep.join((str(ROOT), str(python_package(ATHERIS))))
    command = (sys.executable, "-m", "tests.fuzz.run", "--inside", target)
    return command, {"PYTHONPATH": path}


def _rust(target: str) -> tuple[tuple[str, ...], dict[str, str]]:
    corpus = _folder(target)
    write_seeds(target, corpus)
    return (str(program()), str(corpus)), {"HALFKEY_FUZZ_TARGET": RUST_TARGETS[target]}


def inside(target: str, options: list[str]) -> None:
    """What the child does; doesn't return."""
    import atheris  # type: ignore[import-untyped]

    with atheris.instrument_imports(include=["halfkey"]):
        from tests.fuzz.targets import TARGETS, Target, planted
    from tests.fuzz.corpus import seeds

    function: Target = TARGETS.get(target, planted)
    folders = [_corpus(target, seeds(target))] if target in TARGETS else []

    def once(data: bytes) -> None:
        function(data)

    atheris.Setup([sys.argv[0], *options, *map(str, folders)], once)
    atheris.Fuzz()


def _corpus(target: str, seeds: list[bytes]) -> Path:
    corpus = _folder(target)
    for seed in seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    return corpus


def _folder(target: str) -> Path:
    folder = cache() / "fuzz" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> int:
    """Exit status 1 after a finding, 2 where a fuzzer can't be had."""
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    from tests.fuzz.targets import TARGETS

    known = (*TARGETS, *RUST_TARGETS)
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzzes what peers send.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(known)}")
    arguments = parser.parse_args()
    for target in arguments.targets:
        if target not in known:
            parser.error(f"there is no target {target}; name one of {', '.join(known)}")
    failed = []
    for target in arguments.targets or known:
        print(f"--- {target}, {arguments.seconds} s", flush=True)
        try:
            if fuzz(target, f"-max_total_time={arguments.seconds}") != 0:
                failed.append(target)
        except AbsentError as error:
            print(f"the fuzzer of {target} can't be had: {error}", file=sys.stderr)
            return 2
    findings = f"findings in {', '.join(failed)}: see {cache() / 'fuzz' / 'findings'}"
    print(findings if failed else "no findings")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
