"""In which order the driver does its work: what must be on record, what is sent, what can wait."""

from __future__ import annotations

import pytest

from halfkey.dtls import Certificate
from halfkey.errors import UsageError
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.driver import Driver, KeyDistributorFailed, TunnelProtocol
from halfkey.key_distributor.policy import Policy


class Noted(TunnelProtocol):
    """A tunnel that notes when it is told to write."""

    def __init__(self, driver: Driver, done: list[str]) -> None:
        super().__init__(driver)
        self._done = done

    def flush(self) -> None:
        self._done.append("send")

    def abort(self) -> None:
        self._done.append("abort")


async def run(failing: str) -> tuple[list[str], bool]:
    """What is done, in its order, with one step that fails, and whether the driver has failed."""
    done: list[str] = []

    def step(name: str) -> None:
        done.append(name)
        if name == failing:
            raise OSError("the disk is full")

    driver = Driver(
        KeyDistributor(Policy(), Certificate.generate("dtls")),
        lambda event: step("event"),
        lambda: step("commit"),
        lambda: step("afterwards"),
    )
    tunnel = driver.open(Noted(driver, done), bytes(32))
    assert tunnel is not None
    driver.core.receive_data(tunnel, b"", driver.now)
    driver.settle()
    failed = driver.failed.done() and driver.failed.exception() is not None
    return done, failed


async def test_what_is_on_record_is_sent_and_only_then_what_can_wait_is_done() -> None:
    assert (await run("nothing")) == (["event", "commit", "send", "afterwards"], False)


@pytest.mark.parametrize("failing", ["event", "commit"])
async def test_nothing_is_sent_that_could_not_be_put_on_record(failing: str) -> None:
    done, failed = await run(failing)
    assert failed
    assert "send" not in done
    assert done[-1] == "abort"


async def test_a_fault_in_what_could_wait_ends_it_too() -> None:
    assert (await run("afterwards")) == (["event", "commit", "send", "afterwards", "abort"], True)


async def test_what_an_operator_asks_for_is_done_or_no_key_leaves() -> None:
    done: list[str] = []
    core = KeyDistributor(Policy(), Certificate.generate("dtls"))
    driver = Driver(core, lambda event: None)
    driver.open(Noted(driver, done), bytes(32))
    assert driver.do(lambda: core.remove("c", "nobody", driver.now)) is False
    assert not driver.failed.done()

    def fail() -> None:
        raise UsageError("a rekey half done")

    with pytest.raises(KeyDistributorFailed):
        driver.do(fail)
    assert isinstance(driver.failed.exception(), UsageError)
    assert done[-1] == "abort"


class Panic(BaseException):
    """As native code raises, past whoever expects an `Exception`."""


async def test_a_panic_of_native_code_ends_it_too() -> None:
    for when in ("do", "settle"):
        done: list[str] = []

        def panic(*_: object) -> None:
            raise Panic

        core = KeyDistributor(Policy(), Certificate.generate("dtls"))
        driver = Driver(core, lambda event: None, panic if when == "settle" else lambda: None)
        driver.open(Noted(driver, done), bytes(32))
        with pytest.raises(KeyDistributorFailed):
            driver.do(panic if when == "do" else lambda: None)
        fault = driver.failed.exception()
        assert isinstance(fault, RuntimeError)
        assert str(fault) == "the core raised Panic"
        assert done[-1] == "abort"


@pytest.mark.parametrize("call", ["receive_data", "handle_timer", "close_tunnel"])
async def test_a_core_that_raises_gives_no_key_any_more(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """It must not, whatever a peer sends; if it does, a rekey may be half done."""
    done: list[str] = []
    core = KeyDistributor(Policy(), Certificate.generate("dtls"))
    driver = Driver(core, lambda event: None)
    tunnel = driver.open(Noted(driver, done), bytes(32))
    assert tunnel is not None
    # The control: none of these ends anything by itself.
    driver.receive(tunnel, b"")
    driver._handle_timer()
    assert not driver.failed.done()

    def fail(*arguments: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(core, call, fail)
    driver.open(Noted(driver, done), bytes(32))
    driver.receive(tunnel, b"")
    driver._handle_timer()
    driver.lost(tunnel, bytes(32))
    with pytest.raises(KeyDistributorFailed):
        driver.do(lambda: True)
    assert isinstance(driver.failed.exception(), ValueError)
    assert done[-1] == "abort"
    del done[:]
    driver.receive(tunnel, b"")
    assert done == []


async def test_it_fails_closed_whatever_is_raised_and_whatever_can_not_be_ended() -> None:
    """A future takes no StopIteration, and the first connection can't be ended."""
    done: list[str] = []

    class Stuck(Noted):
        def abort(self) -> None:
            raise RuntimeError("the transport is broken")

    core = KeyDistributor(Policy(), Certificate.generate("dtls"))
    driver = Driver(core, lambda event: None)
    driver.open(Stuck(driver, done), bytes(32))
    driver.open(Noted(driver, done), bytes(32))
    with pytest.raises(KeyDistributorFailed):
        driver.do(lambda: next(iter(())))
    assert isinstance(fault := driver.failed.exception(), RuntimeError)
    assert isinstance(fault.__cause__, StopIteration)
    assert done == ["abort"]
    with pytest.raises(KeyDistributorFailed):
        driver.do(lambda: True)
