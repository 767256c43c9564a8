"""`make bogo BORINGSSL=path`: BoringSSL's DTLS tests against our engine; writes docs/bogo.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.interop.bogo.configuration import ConfigurationFault, load
from tests.interop.bogo.report import judge, render
from tests.interop.bogo.runner import Checkout, RunnerError, build, run

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "bogo.md"
LOG = ROOT / "build" / "bogo.log"
_ALL = "*"


def main() -> int:
    """Exit status 1 if a test failed or a line of config.json is stale, 2 if nothing could run."""
    parser = argparse.ArgumentParser(prog="make bogo")
    parser.add_argument("--boringssl", type=Path, help="a checkout of BoringSSL")
    parser.add_argument("--test", default=_ALL, help="only the tests of this pattern; no document")
    arguments = parser.parse_args()
    if arguments.boringssl is None or arguments.boringssl == Path():
        return _give_up("BoringSSL's tests need a checkout: make bogo BORINGSSL=path")
    LOG.parent.mkdir(exist_ok=True)
    try:
        return _run(Checkout(arguments.boringssl), arguments.test)
    except (RunnerError, ConfigurationFault) as error:
        return _give_up(str(error))


def _run(checkout: Checkout, tests: str) -> int:
    configuration, commit = load(), checkout.commit()
    with tempfile.TemporaryDirectory() as directory:
        workspace = Path(directory)
        results = run(build(checkout, workspace), workspace, tests, log=LOG)
    report = judge(results, configuration)
    if tests != _ALL:
        report.stale.clear()
    for line in report.faults():
        print(line)
    print(f"{report.run} run, {len(report.passed)} passed, {report.total - report.run} left out")
    if any(report.faults()):
        print(f"what the runner says of each is in {LOG.relative_to(ROOT)}")
        return 1
    if tests == _ALL:
        DOCUMENT.write_text(render(report, commit))
    return 0


def _give_up(reason: str) -> int:
    print(f"halfkey: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
