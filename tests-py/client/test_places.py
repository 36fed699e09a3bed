"""Places for connections, without any."""

from __future__ import annotations

from typing import Any

from quantumflow_client._places import InLine, Places


def waiting(places: Places[Any], told: list[str], name: str) -> InLine:
    """Somebody in line, who writes his name when he is told."""

    def tell() -> bool:
        told.append(name)
        return True

    in_line = places.take(tell)
    assert in_line is not None
    return in_line


def nobody() -> bool:
    raise AssertionError("there is a place")


def test_who_came_first_has_the_next_place() -> None:
    places, told = Places[str](2, 4), list[str]()
    assert places.take(nobody) is None
    assert places.take(nobody) is None
    first, second = waiting(places, told, "first"), waiting(places, told, "second")
    assert told == []
    places.pass_on()
    assert (told, first.has_place, second.has_place) == (["first"], True, False)
    places.pass_on()
    assert second.has_place
    for _ in range(2):
        places.pass_on()
    assert places.take(nobody) is None
    assert places.take(nobody) is None


def test_a_place_that_comes_in_the_last_moment_is_not_lost() -> None:
    places, told = Places[str](1, 4), list[str]()
    places.take(nobody)
    gone, late = waiting(places, told, "gone"), waiting(places, told, "late")
    assert not places.leave(gone)
    places.pass_on()
    assert told == ["late"]
    assert places.leave(late), "it is his, though he had given up"


def test_who_is_not_there_any_more_is_passed_over() -> None:
    places, told = Places[str](1, 4), list[str]()
    places.take(nobody)
    gone = places.take(lambda: False)
    there = waiting(places, told, "there")
    places.pass_on()
    assert there.has_place
    assert gone is not None
    assert not places.leave(gone)


def test_all_are_kept_while_somebody_waits_and_few_otherwise() -> None:
    places = Places[str](3, 1)
    for _ in range(3):
        places.take(nobody)
    in_line = waiting(places, [], "one")
    assert places.keep("a")
    places.pass_on()
    assert in_line.has_place
    assert not places.keep("b")
    assert places.pop() == "a"
    assert places.pop() is None
    assert places.keep("c")
    assert places.close() == ["c"]
    assert not places.keep("d")
    places.open()
    assert places.keep("e")


def test_a_fork_begins_anew() -> None:
    places = Places[str](1, 1)
    assert places.keep("the parent's")
    places.take(nobody)
    places._lock.acquire()
    places.forget()
    assert places.pop() is None
    assert places.take(nobody) is None
