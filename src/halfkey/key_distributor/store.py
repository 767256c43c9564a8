"""What a Key Distributor remembers across restarts, in SQLite.

Who is invited, which conferences have a policy of their own, who is admitted at the moment, which
assertions were used. Never an EKT key, and never the secret of an invite: whoever reads this file
learns who meets whom, and can open nothing and join nothing.

Every change is on the disk when its method returns.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halfkey.dtls import Fingerprint
from halfkey.errors import ConfigurationError, HalfkeyError
from halfkey.identity.claims import Person
from halfkey.identity.invite import Invite
from halfkey.key_distributor.credentials import AdmissionRecord, VerifiedIdentity
from halfkey.key_distributor.policy import ConferencePolicy

_SCHEMA = """
CREATE TABLE invites (
    id TEXT PRIMARY KEY,
    conference TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    thumbprint TEXT NOT NULL UNIQUE,
    expires_at INTEGER,
    devices INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE conferences (
    name TEXT PRIMARY KEY,
    policy TEXT NOT NULL
) STRICT;
CREATE TABLE admissions (
    conference TEXT NOT NULL,
    participant TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (conference, participant)
) STRICT;
CREATE TABLE nonces (
    thumbprint TEXT NOT NULL,
    nonce TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (thumbprint, nonce)
) STRICT;
CREATE INDEX nonces_by_time ON nonces (until);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE evictions (
    conference TEXT NOT NULL,
    identity TEXT NOT NULL,
    PRIMARY KEY (conference, identity)
) STRICT;
CREATE TABLE spis (conference TEXT PRIMARY KEY, spi INTEGER NOT NULL) STRICT;
"""

_SINCE_2 = """
ALTER TABLE evictions RENAME TO exclusions;
ALTER TABLE exclusions ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE exclusions ADD COLUMN reason TEXT NOT NULL DEFAULT 'evicted';
ALTER TABLE exclusions ADD COLUMN until INTEGER;
"""

_SINCE_3 = """
ALTER TABLE exclusions RENAME TO exclusions_2;
CREATE TABLE exclusions (
    conference TEXT NOT NULL,
    identity TEXT NOT NULL,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    until INTEGER,
    device TEXT NOT NULL,
    PRIMARY KEY (conference, identity, device)
) STRICT;
INSERT INTO exclusions (conference, identity, name, reason, until, device)
    SELECT conference, identity, name, reason, until, '' FROM exclusions_2 ORDER BY rowid;
DROP TABLE exclusions_2;
"""

_VERSIONS = (_SCHEMA, _SINCE_2, _SINCE_3)
"""What makes each version of the file out of the one before."""

VERSION = len(_VERSIONS)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Somebody, or a device of somebody, who may not come into a conference.

    Attributes:
        identity: as in `Person`, of whatever kind.
        name: for people to read.
        reason: ``"evicted"``, or ``"rejected"`` in the waiting room.
        until: Unix time in seconds when that ends by itself; None for not before it is lifted.
        device: the fingerprint of the one certificate that it is for; empty for all of the person.
    """

    identity: str
    name: str
    reason: str
    until: int | None = None
    device: str = ""


class StoreUnavailable(HalfkeyError):  # noqa: N818 (a state)
    """A change didn't get onto the disk, so what it was for must not be done."""


class Store:
    """The database; for one process at a time.

    Whatever changes something raises `StoreUnavailable` where that can't be kept.

    Args:
        path: the file, made if there is none; None keeps everything in memory.

    Raises:
        ConfigurationError: the file can't be used; the message says why.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        with self._named():
            if path is not None:
                # Made with its rights before SQLite would make it with others.
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(
                ":memory:" if path is None else path, timeout=0, isolation_level=None
            )
            # One process at a time: a second one would admit beside the first.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._migrate()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def is_usable(self) -> bool:
        """Whether a change gets onto the disk at the moment."""
        try:
            with self._changing() as database:
                database.execute(
                    "INSERT INTO counters VALUES ('checks', 1) "
                    "ON CONFLICT (name) DO UPDATE SET value = value + 1"
                )
        except StoreUnavailable:
            return False
        return True

    def next_instance(self) -> int:
        """A number that grows with every start."""
        with self._changing() as database:
            database.execute(
                "INSERT INTO counters VALUES ('instance', 1) "
                "ON CONFLICT (name) DO UPDATE SET value = value + 1"
            )
            query = "SELECT value FROM counters WHERE name = 'instance'"
            value: int = database.execute(query).fetchone()[0]
        return value

    def roster_time(self) -> int | None:
        """The latest time of issue of a roster, Unix seconds; None before the first."""
        query = "SELECT value FROM counters WHERE name = 'roster_time'"
        row = self._database.execute(query).fetchone()
        return None if row is None else int(row[0])

    def note_roster_time(self, second: int) -> None:
        """Notes the time of issue of a roster, which is later than those before."""
        with self._changing() as database:
            insert = "INSERT OR REPLACE INTO counters VALUES ('roster_time', ?)"
            database.execute(insert, (second,))

    # Invites

    def add_invite(self, invite: Invite) -> None:
        """Notes a fresh invite."""
        values = (
            *(invite.id, invite.conference, invite.name, invite.role),
            *(invite.thumbprint, invite.expires_at, invite.devices),
        )
        with self._changing() as database:
            database.execute(
                "INSERT INTO invites (id, conference, name, role, thumbprint, expires_at, devices) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )

    def revoke_invite(self, identifier: str) -> bool:
        """Makes an invite useless for good; False if there is none, or it was revoked before."""
        with self._changing() as database:
            update = "UPDATE invites SET revoked = 1 WHERE id = ? AND revoked = 0"
            return database.execute(update, (identifier,)).rowcount == 1

    def invite_by_thumbprint(self, thumbprint: str) -> Invite | None:
        """The invite whose key has this thumbprint, unless it was revoked."""
        rows = self._invites("thumbprint = ? AND revoked = 0", thumbprint)
        return next(rows, None)

    def has_key(self, thumbprint: str) -> bool:
        """Whether some invite has, or had, the key of this thumbprint."""
        query = "SELECT 1 FROM invites WHERE thumbprint = ?"
        return self._database.execute(query, (thumbprint,)).fetchone() is not None

    def invite(self, identifier: str) -> Invite | None:
        """The invite of that id, unless it was revoked."""
        return next(self._invites("id = ? AND revoked = 0", identifier), None)

    def invites(self, conference: str | None = None) -> list[Invite]:
        """Those that were not revoked, of one conference or of all."""
        if conference is None:
            return list(self._invites("revoked = 0"))
        return list(self._invites("revoked = 0 AND conference = ?", conference))

    def _invites(self, condition: str, *values: str) -> Iterator[Invite]:
        columns = "id, conference, name, role, thumbprint, expires_at, devices"
        query = f"SELECT {columns} FROM invites WHERE {condition} ORDER BY rowid"  # noqa: S608
        for (
            identifier,
            conference,
            name,
            role,
            thumbprint,
            expires_at,
            devices,
        ) in self._database.execute(query, values):
            yield Invite(
                id=identifier,
                conference=conference,
                name=name,
                role=role,
                thumbprint=thumbprint,
                expires_at=expires_at,
                devices=devices,
            )

    # Conferences

    def policy(self, conference: str) -> ConferencePolicy:
        """What holds for the conference; the defaults if nothing was set."""
        row = self._database.execute(
            "SELECT policy FROM conferences WHERE name = ?", (conference,)
        ).fetchone()
        return ConferencePolicy() if row is None else _policy_from(json.loads(row[0]))

    def set_policy(self, conference: str, policy: ConferencePolicy) -> None:
        """Notes what shall hold for the conference from its next beginning on."""
        text = json.dumps(_policy_as_dict(policy))
        with self._changing() as database:
            database.execute("INSERT OR REPLACE INTO conferences VALUES (?, ?)", (conference, text))

    # Admissions

    def save_admission(self, record: AdmissionRecord) -> None:
        """Notes an admission, or what is new of it."""
        identity, media_distributor = record.identity, record.media_distributor
        content = {
            "fingerprint": str(record.fingerprint),
            "tls_id": record.tls_id,
            "own_tls_id": record.own_tls_id,
            "own_assertion": record.own_assertion,
            "identity": None if identity is None else asdict(identity),
            "media_distributor": None if media_distributor is None else media_distributor.hex(),
        }
        values = record.conference, record.participant, json.dumps(content)
        with self._changing() as database:
            # Not in place of the row: the order of admission stays.
            database.execute(
                "INSERT INTO admissions VALUES (?, ?, ?) ON CONFLICT (conference, participant) "
                "DO UPDATE SET record = excluded.record",
                values,
            )

    def delete_admission(self, conference: str, participant: str) -> None:
        """Notes that an admission has ended."""
        with self._changing() as database:
            delete = "DELETE FROM admissions WHERE conference = ? AND participant = ?"
            database.execute(delete, (conference, participant))

    def admissions(self) -> list[AdmissionRecord]:
        """All that stand, in the order of admission."""
        query = "SELECT conference, participant, record FROM admissions ORDER BY rowid"
        return [
            _admission(conference, participant, json.loads(record))
            for conference, participant, record in self._database.execute(query)
        ]

    # Who must stay out

    def exclude(self, conference: str, exclusion: Exclusion, now: float) -> None:
        """Keeps a person or device out of a conference, also when that ends and begins again.

        Args:
            conference: its name.
            exclusion: who, why, and until when; in place of an earlier one.
            now: Unix time; what ended before that is forgotten.
        """
        one = exclusion
        with self._changing() as database:
            database.execute("DELETE FROM exclusions WHERE until <= ?", (int(now),))
            database.execute(
                "INSERT OR REPLACE INTO exclusions "
                "(conference, identity, name, reason, until, device) VALUES (?, ?, ?, ?, ?, ?)",
                (conference, one.identity, one.name, one.reason, one.until, one.device),
            )

    def excluded(self, conference: str, identity: str, now: float, device: str = "") -> str | None:
        """Why a person with a device has to stay out of a conference; None for whoever hasn't."""
        found = (one for one in self.exclusions(conference, now) if one.identity == identity)
        return next((one.reason for one in found if one.device in ("", device)), None)

    def exclusions(self, conference: str, now: float) -> list[Exclusion]:
        """All who have to stay out of a conference, in the order in which they were put out."""
        query = (
            "SELECT identity, name, reason, until, device FROM exclusions "
            "WHERE conference = ? AND (until IS NULL OR until > ?) ORDER BY rowid"
        )
        return [Exclusion(*row) for row in self._database.execute(query, (conference, int(now)))]

    def excluding(self) -> list[str]:
        """The conferences that keep anybody out."""
        query = "SELECT DISTINCT conference FROM exclusions"
        return [name for (name,) in self._database.execute(query)]

    def readmit(self, conference: str, identity: str, device: str = "") -> None:
        """Lifts one exclusion: a person's, or that of one of its devices."""
        with self._changing() as database:
            delete = "DELETE FROM exclusions WHERE conference = ? AND identity = ? AND device = ?"
            database.execute(delete, (conference, identity, device))

    # SPIs

    def note_spi(self, conference: str, spi: int) -> None:
        """Notes the SPI that was given out last, so that none is used again after a restart."""
        with self._changing() as database:
            database.execute("INSERT OR REPLACE INTO spis VALUES (?, ?)", (conference, spi))

    def last_spi(self, conference: str) -> int | None:
        """The SPI that was given out last; None if none was, or the conference has ended."""
        query = "SELECT spi FROM spis WHERE conference = ?"
        row = self._database.execute(query, (conference,)).fetchone()
        return None if row is None else int(row[0])

    def forget_spi(self, conference: str) -> None:
        """Forgets it: nobody is left who could hold a key."""
        with self._changing() as database:
            database.execute("DELETE FROM spis WHERE conference = ?", (conference,))

    # Assertions

    def use_nonce(self, thumbprint: str, nonce: str, until: float, now: float) -> bool:
        """Notes that an assertion was used; False if it had been.

        Args:
            thumbprint: of the key that signed it.
            nonce: its own.
            until: Unix time after which it is refused for its age anyhow.
            now: Unix time; what is older than that is forgotten.
        """
        with self._changing() as database:
            database.execute("DELETE FROM nonces WHERE until < ?", (int(now),))
            insert = "INSERT OR IGNORE INTO nonces VALUES (?, ?, ?)"
            return database.execute(insert, (thumbprint, nonce, int(until) + 1)).rowcount == 1

    # Inside

    def _migrate(self) -> None:
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise ConfigurationError(
                f"{self._path}: it was written by a newer Halfkey; use that one, or another file"
            )
        if version < VERSION:
            script = "".join(_VERSIONS[version:])
            self._database.executescript(
                f"BEGIN; {script} PRAGMA user_version = {VERSION}; COMMIT;"
            )

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction.

        Raises:
            StoreUnavailable: it can't be kept.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database
            self._database.execute("COMMIT")
        except BaseException as fault:
            with contextlib.suppress(sqlite3.Error):
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
            if isinstance(fault, sqlite3.Error):
                raise StoreUnavailable(f"the state can't be written ({fault})") from fault
            raise

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """What the system says of the file, in one line."""
        try:
            yield
        except sqlite3.OperationalError as fault:
            is_locked = "locked" in str(fault)
            fix = "stop the other Key Distributor" if is_locked else "name a file that is writable"
            raise ConfigurationError(f"{self._path}: can't be used ({fault}); {fix}") from None
        except sqlite3.DatabaseError as fault:
            raise ConfigurationError(
                f"{self._path}: is no database of a Key Distributor ({fault}); name another file"
            ) from None
        except OSError as fault:
            raise ConfigurationError(
                f"{self._path}: can't be used ({fault.strerror}); name a file that is writable"
            ) from None


def _admission(conference: str, participant: str, content: dict[str, Any]) -> AdmissionRecord:
    media_distributor = content.get("media_distributor")  # missing in what is older
    return AdmissionRecord(
        conference,
        participant,
        Fingerprint.parse(content["fingerprint"]),
        content["tls_id"],
        content["own_tls_id"],
        _identity(content["identity"]),
        content["own_assertion"],
        None if media_distributor is None else bytes.fromhex(media_distributor),
    )


def _identity(content: dict[str, Any] | None) -> VerifiedIdentity | None:
    if content is None:
        return None
    person, ssrcs = Person(**content["person"]), tuple(content["ssrcs"])
    return VerifiedIdentity(person, ssrcs, content["nonce"], content["assertion"])


def _policy_as_dict(policy: ConferencePolicy) -> dict[str, Any]:
    allowed = policy.media_distributors
    return {
        "media_distributors": None if allowed is None else sorted(one.hex() for one in allowed),
        "rekey_on_join": policy.rekey_on_join,
        "waiting_room": policy.waiting_room,
    }


def _policy_from(value: dict[str, Any]) -> ConferencePolicy:
    allowed = value["media_distributors"]
    return ConferencePolicy(
        media_distributors=None if allowed is None else frozenset(map(bytes.fromhex, allowed)),
        rekey_on_join=value["rekey_on_join"],
        waiting_room=value["waiting_room"],
    )
