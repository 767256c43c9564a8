"""What a Focus remembers across restarts: participations, so that nobody but joiners notices one.

Nothing in it lets anybody into a conference: of a participation's token only the digest is kept.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from halfkey.errors import CodecError, ConfigurationError
from halfkey.focus.core import Participant, ParticipantState
from halfkey.sdp import read_answer, read_offer

STATE_FILE = "focus.sqlite"
"""In the state folder."""

_TABLE = """
CREATE TABLE IF NOT EXISTS participations (
    conference TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, session_id INTEGER NOT NULL,
    offer TEXT NOT NULL, answer TEXT, answer_version INTEGER NOT NULL, etag TEXT NOT NULL,
    token_digest BLOB NOT NULL, PRIMARY KEY (conference, id)
) STRICT
"""
_SAVE = """
INSERT INTO participations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (conference, id)
DO UPDATE SET state = excluded.state, offer = excluded.offer, answer = excluded.answer,
    answer_version = excluded.answer_version, etag = excluded.etag,
    token_digest = excluded.token_digest
"""
_DELETE = "DELETE FROM participations WHERE conference = ? AND id = ?"

_LOGGER = logging.getLogger(__name__)


class State:
    """The participations of one Focus, in a folder.

    Args:
        folder: where; None to remember nothing.

    Raises:
        ConfigurationError: the folder can't be used, or another Focus uses it.
    """

    def __init__(self, folder: Path | None) -> None:
        self._is_failing = False
        self._database = None if folder is None else _open(folder)

    def close(self) -> None:
        """Closes the file."""
        if self._database is not None:
            self._database.close()

    def save(self, participant: Participant) -> None:
        """Notes how a participant is now; one that is gone is forgotten.

        A file that can't be written costs what a restart would keep, and no conference: it is
        logged, once until it works again.
        """
        if self._database is None:
            return
        try:
            if participant.state is ParticipantState.GONE:
                self._database.execute(_DELETE, (participant.conference, participant.id))
            else:
                self._database.execute(_SAVE, _row(participant))
            self._is_failing = False
        except sqlite3.Error as fault:
            if not self._is_failing:
                _LOGGER.warning("participations can't be kept for a restart: %s", fault)
            self._is_failing = True

    def participants(self) -> Iterator[Participant]:
        """Those of before the restart, in the order of joining.

        Who was joining or leaving then is `JOINING`, without answer: to be removed, since nobody
        knows how far that had come. What can't be read any more is passed over.
        """
        if self._database is None:
            return
        for row in self._database.execute("SELECT * FROM participations ORDER BY rowid").fetchall():
            try:
                yield _participant(row)
            except CodecError:
                _LOGGER.warning("a participation in %s can't be read; it is forgotten", STATE_FILE)
                self._database.execute(_DELETE, row[:2])


def _open(folder: Path) -> sqlite3.Connection:
    path = folder / STATE_FILE
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(path, timeout=0, isolation_level=None)
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        # What a power cut takes is gone with the media anyway; a kill takes nothing.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_TABLE)
        database.execute("DELETE FROM participations WHERE id = ''")  # takes the lock
    except OSError as fault:
        raise ConfigurationError(
            f"{path}: can't be written ({fault.strerror}); give another folder"
        ) from None
    except sqlite3.OperationalError as fault:
        if "locked" in str(fault):
            raise ConfigurationError(
                f"{path}: in use; stop the other Focus or give another folder"
            ) from None
        raise ConfigurationError(f"{path}: {fault}; give another folder") from None
    except sqlite3.DatabaseError as fault:
        raise ConfigurationError(f"{path}: {fault}; remove it to begin anew") from None
    return database


def _row(participant: Participant) -> tuple[str | int | bytes | None, ...]:
    answer = participant.answer
    return (
        participant.conference,
        participant.id,
        participant.state.name,
        participant.session_id,
        participant.offer.text,
        None if answer is None else answer.text,
        participant.answer_version,
        participant.etag,
        participant.token_digest,
    )


def _participant(row: tuple[str, str, str, int, str, str | None, int, str, bytes]) -> Participant:
    conference, identifier, state, session_id, offer_text, answer_text, version, etag, digest = row
    offer = read_offer(offer_text)
    participant = Participant(conference, identifier, offer, session_id)
    if state == ParticipantState.PRESENT.name and answer_text is not None:
        participant.state = ParticipantState.PRESENT
        participant.answer = read_answer(answer_text, offer)
        participant.answer_version, participant.etag = version, etag
        participant.token_digest = digest
    return participant
