"""Followers of the events are bounded, in number and in what waits for them."""

from __future__ import annotations

from halfkey.key_distributor.events import Refused
from halfkey.key_distributor.followers import MAXIMUM_FOLLOWERS, QUEUE_LENGTH, Followers


async def test_everybody_gets_every_event() -> None:
    followers = Followers()
    queues = [followers.add() for _ in range(2)]
    followers.publish(Refused("a"))
    for queue in queues:
        assert queue is not None
        assert queue.get_nowait() == Refused("a")


async def test_who_does_not_keep_up_is_let_go_and_nobody_else() -> None:
    followers = Followers()
    slow, quick = followers.add(), followers.add()
    assert slow is not None
    assert quick is not None
    for number in range(QUEUE_LENGTH + 5):
        followers.publish(Refused(str(number)))
        assert quick.get_nowait() == Refused(str(number))
    taken = [slow.get_nowait() for _ in range(slow.qsize())]
    assert len(taken) == QUEUE_LENGTH
    assert taken[-1] is None


async def test_their_number_is_bounded() -> None:
    followers = Followers()
    queues = [followers.add() for _ in range(MAXIMUM_FOLLOWERS)]
    assert followers.add() is None
    assert queues[0] is not None
    followers.remove(queues[0])
    assert followers.add() is not None


async def test_closing_tells_everybody() -> None:
    followers = Followers()
    queue = followers.add()
    assert queue is not None
    followers.close()
    assert queue.get_nowait() is None
