"""Whatever happens in a conference: whoever is in holds the current key, whoever is out doesn't."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from halfkey.key_distributor.policy import Policy
from tests.key_distributor.world import Endpoint, World

NAMES = ("alice", "bob", "carol", "dave")

steps = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["join", "remove", "disconnect", "say goodbye"]), st.sampled_from(NAMES)
        ),
        st.tuples(
            st.sampled_from(["rekey", "lose tunnel", "lose datagrams", "lose nothing"]), st.just("")
        ),
        st.tuples(st.just("wait"), st.sampled_from(["0.1", "1", "20", "50"])),
    ),
    min_size=4,
    max_size=25,
)


class Story:
    """A world and the latest Endpoint of each name."""

    def __init__(self, losses: list[bool]) -> None:
        self.world = World(Policy(rekey_interval=15.0, ttl=100))
        self.md = self.world.media_distributor()
        self.latest: dict[str, Endpoint] = {}
        self.removed: list[tuple[Endpoint, int]] = []
        self._losses = losses
        self._datagrams = 0

    def lose(self, endpoint: Endpoint, direction: str, datagram: bytes) -> bool:
        self._datagrams += 1
        return self._losses[self._datagrams % len(self._losses)]

    def step(self, what: str, detail: str) -> None:
        world = self.world
        endpoint = self.latest.get(detail)
        if what == "join" and endpoint is None:
            self.latest[detail] = world.join(self.md, detail)
        elif what == "remove" and endpoint is not None:
            world.core.remove("c", detail, world.now)
            world.pump()
            del self.latest[detail]
            self.removed.append((endpoint, len(endpoint.spis)))
        elif what == "disconnect" and endpoint is not None:
            self.md.end.send_endpoint_disconnect(endpoint.association_id)
        elif what == "say goodbye" and endpoint is not None:
            endpoint.connection.close(world.now)
        elif what == "rekey":
            world.core.rekey("c", world.now)
        elif what == "lose tunnel":
            world.lose_tunnel(self.md)
            world.dial_again(self.md)
        elif what.startswith("lose"):
            world.lost = self.lose if what == "lose datagrams" else lambda *_: False
        elif what == "wait":
            world.advance(float(detail))
        world.pump()


@settings(max_examples=60, deadline=None)
@given(steps, st.lists(st.booleans(), min_size=3, max_size=7).filter(lambda one: not all(one)))
def test_members_agree_and_leavers_know_nothing_new(
    steps: list[tuple[str, str]], losses: list[bool]
) -> None:
    story = Story(losses)
    world = story.world
    for what, detail in steps:
        story.step(what, detail)
    story.step("lose nothing", "")
    world.advance(70)

    conference = world.core._registry.conferences.get("c")
    associated = conference.associated() if conference else []
    for participant in associated:
        endpoint = story.latest[participant.id]
        assert conference is not None
        assert conference.current is not None
        assert endpoint.spis[-1] == conference.current.spi
        assert endpoint.ekt_keys[-1].ekt_key_value == conference.current.ekt_key
        # The same key may come again when a tunnel does, and no other under its SPI.
        values = {(key.ekt_spi, key.ekt_key_value) for key in endpoint.ekt_keys}
        assert len(values) == len(set(endpoint.spis))
        assert len(endpoint.media_keys) == 1
    for endpoint, known in story.removed:
        assert len(endpoint.spis) == known
        if conference is not None and conference.current is not None:
            assert conference.current.ekt_key not in {k.ekt_key_value for k in endpoint.ekt_keys}
    by_spi: dict[int, set[bytes]] = {}
    for endpoint in world.endpoints:
        for key in endpoint.ekt_keys:
            by_spi.setdefault(key.ekt_spi, set()).add(key.ekt_key_value)
    if conference is not None and not story.removed:  # the same conference from end to end
        assert all(len(keys) == 1 for keys in by_spi.values())
    assert world.core.snapshot()["associations_now"] == len(associated)
