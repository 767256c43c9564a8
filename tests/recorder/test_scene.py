"""The composed picture, looked at by its pixels."""

from __future__ import annotations

import pytest

from halfkey.recorder.grid import Box, tiles
from halfkey.recorder.scene import HEIGHT, WIDTH, Person, Scene
from tests.recorder.helpers import RGB, alike, colour_at, picture

RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (88, 196, 132)
BACKGROUND: RGB = (17, 20, 26)
ALICE, BOB = Person("a", "Alice"), Person("b", "Bob")


def seated(*people: Person) -> tuple[Scene, list[Box]]:
    scene = Scene()
    assert scene.seat(people)
    return scene, [tile.picture for tile in tiles(len(people), WIDTH, HEIGHT)]


def middle(scene: Scene, box: Box) -> RGB:
    return colour_at(scene.frame(), box.left + box.width // 2, box.top + box.height // 2)


def ink(scene: Scene, box: Box) -> int:
    """How many bright pixels a box has: writing."""
    image = scene.frame().to_image().convert("L")  # type: ignore[no-untyped-call]
    cut = image.crop((box.left, box.top, box.left + box.width, box.top + box.height))
    return sum(count for count, value in cut.getcolors() if value > 150)


def test_everybody_is_in_their_own_tile() -> None:
    scene, (first, second) = seated(ALICE, BOB)
    scene.show("a", picture(RED))
    scene.show("b", picture(BLUE, 640, 480))
    assert alike(middle(scene, first), RED)
    assert alike(middle(scene, second), BLUE)
    assert alike(colour_at(scene.frame(), 4, 4), BACKGROUND)


def test_a_picture_of_another_shape_leaves_nothing_of_the_one_before() -> None:
    scene, (box,) = seated(ALICE)
    scene.show("a", picture(RED, 320, 180))
    edge = box.left + 20, box.top + box.height // 2
    assert alike(colour_at(scene.frame(), *edge), RED), "the control"
    scene.show("a", picture(BLUE, 180, 320))
    assert alike(middle(scene, box), BLUE)
    assert not alike(colour_at(scene.frame(), *edge), RED)


def test_names_stand_below() -> None:
    (tile,) = tiles(1, WIDTH, HEIGHT)
    scene, _ = seated(ALICE)
    written = ink(scene, tile.label)
    assert written > 50
    scene.seat([Person("a", " ")])
    assert ink(scene, tile.label) == 0


@pytest.mark.parametrize("name", ["", "x" * 500, "Ωμέγα", "名前", "a\nb", "\u202eevil"])
def test_any_name_stays_in_its_place(name: str) -> None:
    scene, boxes = seated(Person("a", name), BOB)
    scene.show("b", picture(BLUE))
    assert alike(middle(scene, boxes[1]), BLUE)
    assert alike(colour_at(scene.frame(), 4, HEIGHT // 2), BACKGROUND)


def test_who_speaks_is_framed() -> None:
    scene, (first, second) = seated(ALICE, BOB)
    left_of_first = first.left - 2, first.top + 40
    left_of_second = second.left - 2, second.top + 40
    assert alike(colour_at(scene.frame(), *left_of_first), BACKGROUND)
    scene.speaking("a")
    assert alike(colour_at(scene.frame(), *left_of_first), GREEN)
    scene.speaking("b")
    assert alike(colour_at(scene.frame(), *left_of_first), BACKGROUND)
    assert alike(colour_at(scene.frame(), *left_of_second), GREEN)


def test_who_is_not_there_is_not_shown() -> None:
    scene, (box,) = seated(ALICE)
    before = middle(scene, box)
    scene.show("stranger", picture(RED))
    scene.speaking("stranger")
    assert middle(scene, box) == before


def test_an_empty_conference_is_said_to_be_so() -> None:
    assert ink(Scene(), Box(0, HEIGHT // 2 - 40, WIDTH, 80)) > 100


def test_nothing_is_drawn_anew_for_the_same_people() -> None:
    scene, (box,) = seated(ALICE)
    scene.show("a", picture(RED))
    assert not scene.seat([ALICE])
    assert alike(middle(scene, box), RED)
