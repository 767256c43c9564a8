"""A DTLS connection that ends by itself when our engine has a fault, and takes nobody along.

Nothing that a peer sends makes the engine raise. If something does, that one association ends: the
Key Distributor's own state is whole, since none of it changes within the engine but in `select`,
whose faults are passed on as `CoreFault`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from halfkey import dtls
from halfkey.ekt.messages import EKTKey
from halfkey.errors import HalfkeyError

T = TypeVar("T")

INTERNAL_ERROR = "internal_error"
"""Why such an association ends: its name among refusals and ends."""


ENDING = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What is no fault: somebody wants it to end. All else is one, also what is no `Exception`, as a
panic in a library's native code."""


class CoreFault(HalfkeyError):  # noqa: N818 (a state)
    """What the engine called of the core raised; the message says where. It ends everything."""


class GuardedConnection:
    """A server's `dtls.Connection` as the core uses it; each method is that of the engine.

    Attributes:
        fault: where our fault was, if there was one: the exception's type, module and line; never
            its message, which could hold a secret.

    Args:
        connection: the engine.
    """

    __slots__ = ("_connection", "_events", "_outgoing", "fault")

    def __init__(self, connection: dtls.Connection) -> None:
        self._connection: dtls.Connection | None = connection
        self._events: list[dtls.Event] = []
        self._outgoing: list[bytes] = []
        self.fault: str | None = None

    @property
    def holds_nothing(self) -> bool:
        """See `dtls.Connection`; not after a fault, which is to be told."""
        return self._connection is not None and self._connection.holds_nothing

    @property
    def is_terminated(self) -> bool:
        """Whether the association is over."""
        return self._connection is None or self._connection.is_terminated

    def receive_datagram(self, data: bytes, now: float) -> None:
        """Takes what came from the peer."""
        self._call(lambda engine: engine.receive_datagram(data, now), None)

    def handle_timer(self, now: float) -> None:
        """Retransmits or gives up, where that is due."""
        self._call(lambda engine: engine.handle_timer(now), None)

    def send_ekt_key(self, ekt_key: EKTKey, now: float) -> None:
        """Sends an EKTKey."""
        self._call(lambda engine: engine.send_ekt_key(ekt_key, now), None)

    def close(self, now: float) -> None:
        """Says close_notify, and ends the association."""
        self._call(lambda engine: engine.close(now), None)

    def next_event(self) -> dtls.Event | None:
        """Takes the next event, or None."""
        event = self._call(lambda engine: engine.next_event(), None)
        return self._events.pop(0) if self._events else event

    def datagrams_to_send(self) -> list[bytes]:
        """Takes the datagrams that wait to be sent, in order."""
        none: list[bytes] = []
        datagrams = self._call(lambda engine: engine.datagrams_to_send(), none)
        alerts, self._outgoing = self._outgoing, []
        return datagrams + alerts

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called; at once, while a fault is to be told."""
        at = self._call(lambda engine: engine.next_timer(), None)
        return 0.0 if self._events else at

    def _call(self, step: Callable[[dtls.Connection], T], otherwise: T) -> T:
        if self._connection is None:
            return otherwise
        try:
            return step(self._connection)
        except (CoreFault, *ENDING):
            raise
        except BaseException as fault:
            self._break(self._connection, fault)
            return otherwise

    def _break(self, connection: dtls.Connection, fault: BaseException) -> None:
        """Drops the engine with all that it holds; an alert goes out, if it can still make one."""
        self._connection = None
        self.fault = place_of(fault)
        alert = dtls.AlertDescription.INTERNAL_ERROR
        self._events.append(dtls.ConnectionTerminated(INTERNAL_ERROR, alert))
        half_done = _try(connection.datagrams_to_send)  # is not sent
        if _try(connection.abort) is not _FAULT and half_done is not _FAULT:
            with contextlib.suppress(Exception):
                self._outgoing = connection.datagrams_to_send()


_FAULT = object()


def _try(step: Callable[[], object]) -> object:
    """What comes of a step of an engine that has a fault: it may have more."""
    try:
        return step()
    except ENDING:
        raise
    except BaseException:
        return _FAULT


def place_of(fault: BaseException) -> str:
    """Where something was raised: type, module and line, never the message."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {trace.tb_frame.f_globals.get('__name__')}"
    return f"{type(fault).__name__}{where}" + ("" if trace is None else f":{trace.tb_lineno}")
