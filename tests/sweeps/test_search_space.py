"""The search space of a sweep."""

from cardpose.sweeps.search import search_space


def test_the_command_line_takes_the_place_of_the_search_space() -> None:
    space, fixed = search_space(
        ["optim.lr=interval(0.1,1.0)", "model=choice(a,b)", "optim.lr=0.5", "seed=interval(1,3)"]
    )
    assert list(space) == ["model", "seed"]
    assert fixed == ["optim.lr=0.5"]
