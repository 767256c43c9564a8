"""The thread that a recording runs in, so that encoding never keeps packets waiting."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from halfkey.errors import HalfkeyError, UsageError
from halfkey.recorder.recording import Progress, Recording
from halfkey.recorder.speaker import NamedChapter

_logger = logging.getLogger(__name__)

PICTURE_LIMIT, SOUND_LIMIT = 256, 4096
"""How much may wait for the thread before a picture, or a block of sound, is left out."""

_STEP = 0.02  # seconds between two looks at what is to be written

Task = Callable[[Recording], None]


class Worker:
    """Runs a recording in a thread of its own.

    Args:
        begin: makes the recording, in the thread.
        failed: called in the thread when it can't go on; the recording has ended then.

    Attributes:
        overflow: frames left out because the thread was too far behind.
        progress: the counters, once there are some.
        chapters: who had the floor when, at the end.
        failure: why it ended, None if it didn't by itself.
    """

    def __init__(self, begin: Callable[[], Recording], failed: Callable[[], None]) -> None:
        self.overflow = 0
        self.progress: Progress | None = None
        self.chapters: list[NamedChapter] = []
        self.failure: HalfkeyError | None = None
        self._begin = begin
        self._failed = failed
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._end: float | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def post(self, task: Task, limit: int | None = None) -> None:
        """Has something done in the thread, unless more than `limit` wait; called by any."""
        if limit is not None and self._tasks.qsize() >= limit:
            self.overflow += 1
        else:
            self._tasks.put(task)

    def stop(self, now: float) -> None:
        """Ends the recording, and returns once it is whole; called by any thread but its own."""
        self._end = now
        self._thread.join()

    def _run(self) -> None:
        recording: Recording | None = None
        try:
            recording = self._begin()
            self._record(recording)
        except HalfkeyError as error:
            self.failure = error
        except Exception as error:
            _logger.exception("the recorder failed")
            self.failure = UsageError(f"the recorder failed ({type(error).__name__})")
        if self.failure is not None:
            if recording is not None:
                recording.abandon()
            self._failed()

    def _record(self, recording: Recording) -> None:
        while self._end is None:
            self._work(recording)
            recording.advance(time.monotonic())
            self.progress = recording.progress()
        while not self._tasks.empty():
            self._tasks.get_nowait()(recording)
        recording.close(self._end)
        self.progress, self.chapters = recording.progress(), recording.chapters()
        recording.finish()

    def _work(self, recording: Recording) -> None:
        """Does what waits, for as long as a step, at least."""
        until = time.monotonic() + _STEP
        while (left := until - time.monotonic()) > 0:
            try:
                task = self._tasks.get(timeout=left)
            except queue.Empty:
                return
            task(recording)
