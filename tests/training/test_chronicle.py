"""What happened, worked out from sights."""

from training.chronicle import Chronicle, Event
from training.sight import Sight, Thing
from training.world import NOT_MOVED

LEFT, RIGHT, TOP, _, MIDDLE = range(5)
DOG, CAT, CUP = 2, 3, 8


def sight(*things: tuple[int, int], ground: int = 0, text: int = -1) -> Sight:
    return Sight(tuple(Thing(*thing) for thing in things), ground, text, 3 if text >= 0 else -1)


STREAM = [
    sight((DOG, LEFT)),
    sight((DOG, LEFT), (CAT, RIGHT)),
    sight((DOG, MIDDLE), (CAT, RIGHT)),
    sight((CAT, RIGHT)),
    sight(ground=1, text=0),
    sight((CUP, TOP), ground=2),
]


def test_runs_know_their_times_places_grounds_and_companions() -> None:
    runs = {run.obj: run for run in Chronicle(STREAM).runs}
    assert (runs[DOG].begin, runs[DOG].end, runs[DOG].places) == (0, 2, [LEFT, MIDDLE])
    assert (runs[CAT].begin, runs[CAT].end, runs[CAT].companions) == (1, 3, {DOG})
    assert runs[CUP].grounds == {2} and not runs[CUP].companions


def test_events_come_in_order() -> None:
    right = 1
    assert Chronicle(STREAM).events == [
        Event(0, "appeared", DOG), Event(1, "appeared", CAT), Event(2, "moved", DOG, right),
        Event(3, "left", DOG), Event(4, "left", CAT), Event(5, "appeared", CUP),
    ]  # fmt: skip


def test_neighbours_moves_and_texts() -> None:
    chronicle = Chronicle(STREAM)
    dog, cat, cup = chronicle.runs
    assert [chronicle.neighbour(cat, step) for step in (-1, 1)] == [DOG, CUP]
    assert chronicle.neighbour(dog, -1) == chronicle.neighbour(cup, 1) == -1
    assert chronicle.moves_of(DOG) == 1 and chronicle.moves_of(CAT) == NOT_MOVED
    assert chronicle.texts == [0]


def test_what_came_together_has_no_single_neighbour() -> None:
    chronicle = Chronicle([sight((CUP, TOP)), sight((DOG, LEFT), (CAT, RIGHT))])
    assert chronicle.neighbour(chronicle.runs[0], 1) is None
    assert chronicle.latest_event() is None


def test_ages_and_thirds_follow_the_clock() -> None:
    chronicle = Chronicle(STREAM, seconds=[0, 1, 2, 3, 50, 90])
    assert chronicle.age(CUP) == 0
    assert chronicle.age(DOG) is None  # 88 s: between one minute and two
    assert Chronicle(STREAM, seconds=[0, 1, 2, 3, 50, 62]).age(DOG) == 3
    assert [chronicle.third(run) for run in chronicle.runs] == [0, 0, 2]


def test_an_empty_stretch_does_not_end_a_run() -> None:
    shown = [DOG, -1, DOG, CAT, CAT, -1, DOG, CUP]
    chronicle = Chronicle([sight(*([(obj, LEFT)] if obj >= 0 else [])) for obj in shown])
    assert [run.obj for run in chronicle.runs] == [DOG, CAT, DOG, CUP]
