"""What survives a restart, and what never gets onto the disk."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from halfkey.dtls import Fingerprint
from halfkey.errors import ConfigurationError
from halfkey.identity.claims import Person
from halfkey.identity.invite import Invite, InviteSecret
from halfkey.key_distributor.credentials import AdmissionRecord, VerifiedIdentity
from halfkey.key_distributor.policy import ConferencePolicy
from halfkey.key_distributor.store import _SCHEMA, Exclusion, Store, StoreUnavailable

SECRET = InviteSecret.make("board")
INVITE = Invite("a1b2", "board", "Alice Ölander", "host", SECRET.thumbprint, 2_000_000_000, 3)
RECORD = AdmissionRecord(
    "board",
    "p1",
    Fingerprint.of(b"certificate"),
    "t" * 20,
    "u" * 20,
    VerifiedIdentity(
        Person("invite:a1b2", "Alice", "host", "invite", SECRET.thumbprint),
        (1, 0xFFFFFFFF),
        "n" * 22,
        "YXNzZXJ0aW9u",
    ),
    "b3du",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kd.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = Store(path)
    yield made
    made.close()


def reopened(store: Store, path: Path) -> Store:
    store.close()
    return Store(path)


def test_invites_are_found_by_key_until_they_are_revoked(store: Store, path: Path) -> None:
    store.add_invite(INVITE)
    store = reopened(store, path)
    assert store.invite_by_thumbprint(SECRET.thumbprint) == INVITE
    assert store.invite("a1b2") == INVITE
    assert store.invites() == store.invites("board") == [INVITE]
    assert store.invites("other") == []
    assert store.invite_by_thumbprint("x" * 43) is None
    assert store.revoke_invite("a1b2")
    store = reopened(store, path)
    assert not store.revoke_invite("a1b2")
    assert store.invite_by_thumbprint(SECRET.thumbprint) is None
    assert store.invite("a1b2") is None
    assert store.invites() == []
    store.close()


def test_a_policy_stands_until_another_is_set(store: Store, path: Path) -> None:
    assert store.policy("board") == ConferencePolicy()
    policy = ConferencePolicy(frozenset({b"\1" * 32, b"\2" * 32}), True, True)
    store.set_policy("board", policy)
    store = reopened(store, path)
    assert store.policy("board") == policy
    assert store.policy("other") == ConferencePolicy()
    store.set_policy("board", ConferencePolicy(rekey_on_join=True))
    assert store.policy("board") == ConferencePolicy(rekey_on_join=True)
    store.close()


def test_admissions_come_back_in_their_order(store: Store, path: Path) -> None:
    unsigned = replace(RECORD, participant="p0", identity=None, own_assertion=None)
    store.save_admission(RECORD)
    store.save_admission(unsigned)
    store = reopened(store, path)
    assert store.admissions() == [RECORD, unsigned]
    store.delete_admission("board", "p1")
    store.delete_admission("board", "nobody")
    store = reopened(store, path)
    assert store.admissions() == [unsigned]
    store.close()


def test_an_admission_is_noted_again_with_its_media_distributor(store: Store, path: Path) -> None:
    later = replace(RECORD, participant="p0")
    store.save_admission(RECORD)
    store.save_admission(later)
    known = replace(RECORD, media_distributor=b"\x00md")
    store.save_admission(known)
    store = reopened(store, path)
    assert store.admissions() == [known, later]
    store.close()


def test_admissions_of_before_media_distributors_were_noted(store: Store, path: Path) -> None:
    store.save_admission(RECORD)
    store.close()
    database = sqlite3.connect(path)
    database.execute("UPDATE admissions SET record = json_remove(record, '$.media_distributor')")
    database.commit()
    database.close()
    store = Store(path)
    assert store.admissions() == [RECORD]
    store.close()


def test_a_nonce_is_good_once_also_after_a_restart(store: Store, path: Path) -> None:
    assert store.use_nonce("key", "nonce", until=1090, now=1000)
    assert not store.use_nonce("key", "nonce", until=1090, now=1000)
    assert store.use_nonce("another key", "nonce", until=1090, now=1000)
    store = reopened(store, path)
    assert not store.use_nonce("key", "nonce", until=1090, now=1090)
    # By now its age alone refuses the assertion, so the memory is freed.
    assert store.use_nonce("key", "nonce", until=1200, now=1092)
    store.close()


def test_the_last_spi_of_a_conference(store: Store, path: Path) -> None:
    assert store.last_spi("board") is None
    store.note_spi("board", 7)
    store.note_spi("board", 65535)
    store = reopened(store, path)
    assert store.last_spi("board") == 65535
    assert store.last_spi("other") is None
    store.forget_spi("board")
    assert store.last_spi("board") is None
    store.close()


def test_who_was_put_out_stays_out_until_readmitted(store: Store, path: Path) -> None:
    person = Exclusion("oidc:https://id.example#1", "Mallory", "evicted")
    for _ in range(2):
        store.exclude("board", person, now=1000)
    store = reopened(store, path)
    assert store.excluded("board", person.identity, now=2e9) == "evicted"
    assert store.excluded("board", "invite:a2", now=1000) is None
    assert store.excluded("other", person.identity, now=1000) is None
    assert store.exclusions("board", now=1000) == [person]
    assert store.excluding() == ["board"]
    store.readmit("board", person.identity)
    assert store.excluded("board", person.identity, now=1000) is None
    assert store.excluding() == []
    store.close()


def test_an_exclusion_may_end_by_itself(store: Store) -> None:
    person = Exclusion("invite:a1", "Alice", "rejected", until=2000)
    store.exclude("board", person, now=1000)
    assert store.excluded("board", person.identity, now=1999) == "rejected"
    assert store.excluded("board", person.identity, now=2000) is None
    store.exclude("other", person, now=2000)  # and is forgotten by and by
    assert store.excluding() == ["other"]


def test_a_device_is_kept_out_beside_its_person(store: Store, path: Path) -> None:
    person = Exclusion("invite:a1", "Alice", "evicted")
    device = replace(person, reason="rejected", until=2000, device="sha-256 AA")
    store.exclude("board", device, now=1000)
    assert store.excluded("board", "invite:a1", now=1000) is None
    assert store.excluded("board", "invite:a1", now=1000, device="sha-256 BB") is None
    assert store.excluded("board", "invite:a1", now=1000, device="sha-256 AA") == "rejected"
    store.exclude("board", person, now=1000)
    assert store.excluded("board", "invite:a1", now=1000, device="sha-256 BB") == "evicted"
    store.readmit("board", "invite:a1")
    store = reopened(store, path)
    assert store.exclusions("board", now=1000) == [device]
    store.readmit("board", "invite:a1", "sha-256 AA")
    assert store.exclusions("board", now=1000) == []
    store.close()


def test_evictions_of_an_older_file_hold(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.executescript(_SCHEMA + "PRAGMA user_version = 1;")
        database.execute("INSERT INTO evictions VALUES ('board', 'invite:a1')")
    database.close()
    store = Store(path)
    assert store.exclusions("board", now=1000) == [Exclusion("invite:a1", "", "evicted")]
    store = reopened(store, path)
    assert store.excluding() == ["board"]
    store.close()


def test_every_start_is_another_instance(store: Store, path: Path) -> None:
    first = store.next_instance()
    store = reopened(store, path)
    assert store.next_instance() == first + 1
    store.close()


def test_without_a_file_nothing_is_left() -> None:
    store = Store(None)
    store.add_invite(INVITE)
    store.close()
    assert Store(None).invites() == []


def test_a_change_that_cannot_be_kept_is_said_and_undone(store: Store) -> None:
    store.add_invite(INVITE)
    store._database.execute("PRAGMA query_only = ON")  # as on a disk that is read-only by now
    assert not store.is_usable()
    with pytest.raises(StoreUnavailable, match="readonly"):
        store.revoke_invite(INVITE.id)
    assert store.invite(INVITE.id) == INVITE
    store._database.execute("PRAGMA query_only = OFF")
    assert store.is_usable()
    assert store.revoke_invite(INVITE.id)


def test_only_the_owner_may_read_it(store: Store, path: Path) -> None:
    store.add_invite(INVITE)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_the_secret_of_an_invite_is_not_in_it(store: Store, path: Path) -> None:
    store.add_invite(INVITE)
    store.close()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert SECRET.thumbprint.encode() in content
    assert SECRET.value not in content
    assert SECRET.value.hex().encode() not in content


def test_a_second_process_is_told_to_stay_away(store: Store, path: Path) -> None:
    store.add_invite(INVITE)
    with pytest.raises(ConfigurationError, match="stop the other Key Distributor"):
        Store(path)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look at" * 20])
def test_another_file_is_not_touched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="no database of a Key Distributor"):
        Store(path)
    assert path.read_bytes() == content


def test_a_file_of_a_later_version_is_left_alone(store: Store, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ConfigurationError, match="newer Halfkey"):
        Store(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        Store(tmp_path / "missing" / "kd.sqlite")
