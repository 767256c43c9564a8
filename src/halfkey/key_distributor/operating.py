"""What a Key Distributor shows its operator, and how it drains."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.driver import Driver
from halfkey.key_distributor.store import Store
from halfkey.operations.role import Operated, Running

STORE_CHECK_SECONDS = 5.0
"""How long the store counts as usable once it was: whoever asks doesn't set how often it writes."""


def show(operated: Operated, driver: Driver, store: Store, application: web.Application) -> None:
    """Shows the operator the figures, and keeps who is new away during a drain.

    Args:
        operated: between us and the operator.
        driver: runs the core.
        store: without which nobody can be admitted.
        application: the admission API's, before it is served.
    """
    core = driver.core
    application.middlewares.insert(0, operated.middleware(_admits_anew(core)))
    operated.watch(
        Running(
            core.snapshot, _Faults(driver, store).list, lambda: core.snapshot()["half_open_now"]
        )
    )


def _admits_anew(core: KeyDistributor) -> Callable[[web.Request], bool]:
    def brings_in(request: web.Request) -> bool:
        names = request.match_info
        known = core.find(names.get("conference", ""), names.get("participant", ""))
        return request.method == "PUT" and known is None

    return brings_in


class _Faults:
    """Why the Key Distributor is of no use."""

    def __init__(self, driver: Driver, store: Store) -> None:
        self._driver = driver
        self._store = store
        self._is_usable = False
        self._checked_at: float | None = None

    def list(self) -> list[str]:
        """A line for each reason."""
        found = []
        if not self._store_is_usable():
            found.append("the state can't be written")
        if self._driver.failed.done():
            found.append("failed, and hands out no key any more")
        return found

    def _store_is_usable(self) -> bool:
        now = self._driver.now
        if self._checked_at is None or now - self._checked_at >= STORE_CHECK_SECONDS:
            self._is_usable, self._checked_at = self._store.is_usable(), now
        return self._is_usable
