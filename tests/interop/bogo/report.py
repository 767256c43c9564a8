"""What a run of BoringSSL's tests came to: what to mend, and the document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.interop.bogo.configuration import Configuration

PASSED, UNIMPLEMENTED = "PASS", "SKIP"
TITLE = "# BoringSSL's tests of our DTLS"


@dataclass
class Report:
    """A run, judged by config.json.

    Attributes:
        passed: tests that passed and are not left out.
        failed: tests that should have passed.
        excluded: tests that are left out and don't pass, by the reason.
        needless: tests that are left out and pass, with the patterns that do it.
        stale: patterns that match no test.
    """

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    excluded: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    needless: dict[str, list[str]] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)

    @property
    def run(self) -> int:
        """How many tests were run and count."""
        return len(self.passed) + len(self.failed)

    @property
    def total(self) -> int:
        """How many tests there are."""
        return self.run + len(self.needless) + sum(map(len, self.excluded.values()))

    def faults(self) -> Iterator[str]:
        """What is to be mended, in lines."""
        for test in self.failed:
            yield f"failed: {test}"
        for test, patterns in self.needless.items():
            yield f"passes, though left out by {', '.join(patterns)}: {test}"
        for pattern in self.stale:
            yield f"matches no test: {pattern}"


def judge(results: Mapping[str, str], configuration: Configuration) -> Report:
    """Holds the results of all tests against config.json."""
    report = Report(stale=list(configuration.exclusions))
    for test, result in sorted(results.items()):
        patterns = configuration.exclusions_of(test)
        report.stale = [pattern for pattern in report.stale if pattern not in patterns]
        if not patterns:
            (report.passed if result == PASSED else report.failed).append(test)
        elif result == PASSED:
            report.needless[test] = patterns
        else:
            report.excluded[configuration.exclusions[patterns[0]]].append(test)
    return report


def render(report: Report, commit: str) -> str:
    """The document."""
    reasons = sorted(report.excluded.items(), key=lambda item: (-len(item[1]), item[0]))
    excluded = sum(len(tests) for _, tests in reasons)
    lines = [
        TITLE,
        "",
        "Made by `make bogo`; don't edit it.",
        "",
        f"The DTLS tests of BoringSSL's runner, at its commit `{commit}`, against `halfkey.dtls`:",
        "",
        "| | tests |",
        "| --- | ---: |",
        f"| run | {report.run} |",
        f"| passed | {len(report.passed)} |",
        f"| left out | {excluded} |",
        f"| in all | {report.total} |",
        "",
        *PREFACE.splitlines(),
        "",
        "| left out because | tests |",
        "| --- | ---: |",
        *(f"| {reason} | {len(tests)} |" for reason, tests in reasons),
        "",
    ]
    return "\n".join(lines)


PREFACE = """\
BoringSSL isn't part of Halfkey. To run its tests, clone it, check out the commit above, and say
`make bogo BORINGSSL=path/to/boringssl`; Go is needed, of the release that its `go.mod` names. All
is on this machine's loopback, and the checkout is only read.

The runner plays the other side, in each test with a fault of its own, and judges what our shim
(`tests/interop/bogo/shim.py`) does about it. Its defaults are those of the web; ours are
DTLS-SRTP with ECDSA certificates on both sides. So `tests/interop/bogo/adapt.go` moves the
defaults, and nothing that a test does on purpose: an ECDSA certificate on both sides, SRTP with the
profiles of RFC 7714, ECDSA cipher suites for RSA ones, and a first connection only where resumption
isn't the subject. The shim adds application data, which the runner uses to see that a connection
works. It takes any certificate, as the runner doesn't tell the right one, and none where a test
says so; and asks for no cookie where a test counts flights, as BoringSSL's server never does. Two
bounds are lifted that only messages cut to a byte meet: how many pieces of a ClientHello are looked
at in a datagram, and how many gaps a message may have.

`tests/interop/bogo/config.json` has every test that is left out, with its reason, and which words
of ours stand for which error of BoringSSL's: a test that fails for another reason than the one it
is about has not passed. Also what is left out is run, so that a line nobody needs any more is
found: `make bogo` fails if one of them passes, or a line matches no test."""
