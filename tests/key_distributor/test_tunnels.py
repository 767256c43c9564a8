"""What becomes of associations when a Media Distributor goes and comes back."""

from __future__ import annotations

from halfkey.key_distributor.events import Disassociated
from halfkey.tunnel import TunneledDtls
from tests.key_distributor.world import World


def test_a_media_distributor_that_is_back_is_asked_about_every_association() -> None:
    world = World()
    md = world.media_distributor()
    alice, bob = world.join(md, "alice"), world.join(md, "bob")
    world.lose_tunnel(md)
    world.advance(1.0)
    before = world.core.statistics.ekt_keys_acknowledged
    md.log.clear()
    world.dial_again(md)
    asked = {one.association_id for one in md.log if isinstance(one, TunneledDtls)}
    assert asked == {alice.association_id, bob.association_id}
    assert world.core.statistics.ekt_keys_acknowledged == before + 2
    assert alice.spis == bob.spis == [alice.spis[0]] * 2  # the same key again, and none is new
    md.end.send_endpoint_disconnect(alice.association_id)
    world.pump()
    (gone,) = world.of(Disassociated)
    assert (gone.participant, gone.reason) == ("alice", "disconnected")  # type: ignore[attr-defined]
    assert len(bob.spis) == 3  # and there the others are rekeyed
    world.advance(60.0)
    assert len(world.of(Disassociated)) == 1


def test_who_is_gone_while_the_tunnel_was_is_found_out() -> None:
    """The Media Distributor says nothing of it, and the Endpoint doesn't answer."""
    world = World()
    md = world.media_distributor()
    alice, bob = world.join(md, "alice"), world.join(md, "bob")
    world.lose_tunnel(md)
    world.endpoints.remove(alice)
    world.dial_again(md)
    world.advance(60.0)
    gone = [one.participant for one in world.of(Disassociated)]  # type: ignore[attr-defined]
    assert gone == ["alice"]
    assert len(set(bob.spis)) == 2


def test_what_ended_without_a_tunnel_is_said_by_the_next() -> None:
    world = World()
    md = world.media_distributor()
    alice, bob = world.join(md, "alice"), world.join(md, "bob")
    world.lose_tunnel(md)
    world.core.remove("c", "alice", world.now)
    assert not alice.was_disconnected
    world.dial_again(md)
    assert alice.was_disconnected
    assert not bob.was_disconnected
    md.log.clear()
    world.lose_tunnel(md)
    world.dial_again(md)
    assert not alice.was_disconnected  # once is enough
