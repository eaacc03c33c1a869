import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.packet import Annotation
from cardpose.data.footage.cardcut import read_cardcut
from cardpose.data.splits import (
    Split,
    all_test,
    by_video,
    by_video_fraction,
    explicit,
    from_file,
    random_frames,
)


def label(video: str, index: int, cards: int | None) -> Annotation:
    return Annotation(
        video, index, np.nan, 64, 48, np.zeros((8, 2), np.float32), np.full(8, 2, np.int8), cards
    )


def labels(counts: dict[str, int | None], frames: int = 3) -> list[Annotation]:
    return [label(video, index, cards) for video, cards in counts.items() for index in range(frames)]


def random_labels(rng: np.random.Generator) -> list[Annotation]:
    """5 to 40 videos with counts that repeat, some unknown, and a different number of frames each."""
    annotations = []
    for number in rng.permutation(int(rng.integers(5, 41))):
        cards = None if rng.random() < 0.1 else int(rng.integers(1, 53))
        annotations += labels({f"videos/{number}.mp4": cards}, frames=int(rng.integers(1, 6)))
    return annotations


def videos(side: tuple[tuple[str, int], ...]) -> set[str]:
    return {video for video, _ in side}


def assert_partition(split: Split, annotations: list[Annotation]) -> None:
    """Every frame stands on exactly one side."""
    frames = [*split.train, *split.val, *split.test]
    assert sorted(frames) == sorted((a.video, a.frame_index) for a in annotations)


@pytest.mark.parametrize("seed", range(40))
def test_no_video_stands_on_two_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    annotations = random_labels(rng)
    num_videos = len({a.video for a in annotations})
    folds = int(rng.integers(2, min(num_videos - 2, 6) + 1)) if num_videos > 4 else 2
    fraction = float(rng.uniform(0.05, 0.5))
    for split in [
        *(by_video(annotations, folds=folds, fold=fold, val_videos=1, seed=seed) for fold in range(folds)),
        by_video_fraction(annotations, test_fraction=fraction, val_videos=1),
    ]:
        train, val, test = videos(split.train), videos(split.val), videos(split.test)
        assert train
        assert val
        assert test
        assert not train & val
        assert not train & test
        assert not val & test
        assert_partition(split, annotations)


@pytest.mark.parametrize("seed", range(10))
def test_folds_share_the_videos_out(seed: int) -> None:
    annotations = random_labels(np.random.default_rng(seed))
    tests = [videos(by_video(annotations, folds=3, fold=fold, val_videos=1).test) for fold in range(3)]
    assert sum(len(test) for test in tests) == len(set.union(*tests)) == len({a.video for a in annotations})
    assert max(map(len, tests)) - min(map(len, tests)) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_counts_interleave(seed: int) -> None:
    cards = {f"v{n}": n for n in np.random.default_rng(seed).permutation(np.arange(1, 53)).tolist()}
    ranks = []
    for fold in range(5):
        split = by_video(labels(cards), folds=5, fold=fold, val_videos=4, seed=seed)
        counts = sorted(cards[video] for video in videos(split.test))
        # One video from every five neighbours, the last two counts aside.
        assert [(count - 1) // 5 for count in counts][:10] == list(range(10))
        ranks.append(np.mean([(count - 1) % 5 for count in counts[:10]]))
        val = sorted(cards[video] for video in videos(split.val))
        assert all(
            low < count <= high
            for low, count, high in zip((0, 13, 26, 39), val, (13, 26, 39, 52), strict=True)
        )
    assert max(ranks) - min(ranks) < 3  # dealing always in one order would give 4


@pytest.mark.parametrize(("number", "validated"), [(6, 1), (39, 2), (260, 13)])
def test_a_twentieth_of_the_videos_validates_by_default(number: int, validated: int) -> None:
    split = by_video(labels({f"v{n}": 1 + n % 52 for n in range(number)}), folds=3)
    assert len(set(videos(split.val))) == validated


def test_fractions_interleave() -> None:
    split = by_video_fraction(labels({f"v{n}": n for n in range(1, 51)}), test_fraction=0.2)
    assert sorted(int(video[1:]) for video in videos(split.test)) == list(range(3, 51, 5))


def test_videos_of_unknown_count_are_split_too() -> None:
    annotations = labels({"a": None, "b": 3, "c": None, "d": 1, "e": 2, "f": 9})
    assert_partition(by_video(annotations, folds=2, val_videos=1), annotations)


def test_the_seed_changes_the_folds_and_nothing_else_does() -> None:
    annotations = labels({f"v{n}": n for n in range(1, 31)})
    assert by_video(annotations, seed=1) == by_video(annotations, seed=1)
    assert by_video(annotations, seed=1) != by_video(annotations, seed=2)
    assert set(by_video(annotations).test) == set(by_video(annotations[::-1]).test)


def test_random_frames() -> None:
    annotations = labels({f"v{n}": n for n in range(1, 21)}, frames=10)
    split = random_frames(annotations)
    assert (len(split.test), len(split.val), len(split.train)) == (40, 16, 144)
    assert_partition(split, annotations)
    assert split == random_frames(annotations, seed=420) != random_frames(annotations, seed=421)
    assert videos(split.test) & videos(split.train)  # it leaks, as its docstring says


@pytest.mark.parametrize(("number", "validated"), [(3, 1), (4, 2), (5, 2), (10, 2), (13, 3), (39, 8)])
def test_a_share_of_the_videos_for_validation_is_at_least_two_where_one_is_left_to_train_on(
    number: int, validated: int
) -> None:
    annotations = labels({f"v{n}": n + 1 for n in range(number)})
    split = by_video(annotations, folds=min(5, number), val_videos=0.2)
    assert len(videos(split.val)) == validated
    assert split.train
    assert_partition(split, annotations)


def test_all_test() -> None:
    annotations = labels({"a": 1, "b": 2})
    split = all_test(annotations)
    assert_partition(split, annotations)
    assert not split.train
    assert not split.val


def test_a_saved_split_is_read_back(tmp_path: Path) -> None:
    annotations = random_labels(np.random.default_rng(0))
    split = by_video(annotations, folds=3, val_videos=1)
    split.save(tmp_path / "split.json")
    assert from_file(annotations, path=tmp_path / "split.json") == split
    assert explicit(annotations, subsets=split.to_dict(), name="checkpoint") == split
    assert [path.name for path in tmp_path.iterdir()] == ["split.json"]


def test_an_empty_set_is_saved_too(tmp_path: Path) -> None:
    annotations = labels({"a": 1})
    all_test(annotations).save(tmp_path / "split.json")
    assert from_file(annotations, path=tmp_path / "split.json") == all_test(annotations)


def test_a_list_by_hand() -> None:
    annotations = labels({"a": 1, "b": 2, "c": 3})
    split = explicit(annotations, subsets={"train": {"b": "all"}, "test": {"a": [2, 0]}}, name="list")
    assert split.train == (("b", 0), ("b", 1), ("b", 2))
    assert split.val == ()
    assert split.test == (("a", 0), ("a", 2))


SIX = labels({f"v{n}": n for n in range(1, 7)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: by_video(SIX, fold=5), r"split\.fold=5 of split\.folds=5"),
        (lambda: by_video(SIX, fold=-1), r"split\.fold=-1"),
        (lambda: by_video(SIX, folds=1), r"split\.folds=1"),
        (lambda: by_video(SIX, folds=7), r"split\.folds=7 of 6 videos: choose 2 to 6"),
        (lambda: by_video(SIX, folds=2, val_videos=3), r"split\.val_videos=3 .*3 videos.* choose 1 to 2"),
        (lambda: by_video(SIX, folds=2, val_videos=0), r"split\.val_videos=0"),
        (
            lambda: by_video(SIX, folds=2, val_videos=1.5),
            r"split\.val_videos=1\.5: choose a whole number, or a share",
        ),
        (lambda: by_video(SIX[:3]), r"1 labelled video, .*label more videos, or train with split=random"),
        (lambda: by_video(SIX[:6]), r"2 labelled videos, 3 are needed"),
        (lambda: by_video(SIX[:9], folds=2), r"2 of 3 videos are tested: raise split\.folds"),
        (lambda: by_video_fraction(SIX, test_fraction=0), r"split\.test_fraction=0"),
        (
            lambda: by_video_fraction(SIX, test_fraction=0.9),
            r"5 of 6 videos are tested: lower split\.test_fraction",
        ),
        (lambda: by_video_fraction(SIX[:6]), r"2 labelled videos, 3 are needed"),
        (lambda: random_frames(SIX[:2]), r"2 labelled frames, 3 are needed: label more"),
        (lambda: random_frames(SIX, test_fraction=0.99), r"no frame in train.*lower split\.test_fraction"),
        (lambda: random_frames(SIX, test_fraction=1.0), r"split\.test_fraction=1\.0"),
        (lambda: explicit(SIX, subsets={"train": {"v1": "all"}}, name="list"), "list: no frame in test"),
        (lambda: explicit(SIX, subsets={"tset": {"v1": "all"}}, name="list"), "list: unknown subset 'tset'"),
        (lambda: explicit(SIX, subsets={"test": {"v9": "all"}}, name="list"), "list: test names v9"),
        (lambda: explicit(SIX, subsets={"test": {"v1": [3]}}, name="list"), "list: test names frame 3 of v1"),
        (
            lambda: explicit(SIX, subsets={"train": {"v1": [0]}, "test": {"v1": "all"}}, name="list"),
            "frame 0 of v1 is in train and in test",
        ),
    ],
)
def test_mistakes(make: Callable[[], Split], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"split\.path"),
        ("{", "not valid JSON"),
        ("[1, 2]", "not a split"),
        ('{"test": ["v1"]}', "not a split"),
        (json.dumps({"test": {"v1": "some"}}), "list of frame numbers"),
        (json.dumps({"test": {"v1": 3}}), "list of frame numbers"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "split.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=f"{path}.*{message}"):
        from_file(SIX, path=path)


def test_the_smallest_footage_that_can_be_split() -> None:
    three = labels({f"v{n}": n for n in (1, 2, 3)})
    for split in (by_video(three, folds=3), by_video_fraction(three), random_frames(three[:3])):
        assert all((split.train, split.val, split.test))


def test_a_file_for_an_evaluation_is_judged_by_what_it_tests(tmp_path: Path) -> None:
    """The videos that a model was trained with need not be there."""
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": {"gone": "all"}, "val": {"v1": [77]}, "test": {"v2": "all"}}))
    assert from_file(SIX, path=path, needed=["test"]) == explicit(
        SIX, subsets={"test": {"v2": "all"}}, name=""
    )
    with pytest.raises(InputError, match="names gone"):
        from_file(SIX, path=path)
    path.write_text(json.dumps({"tset": {"v2": "all"}}))
    with pytest.raises(InputError, match="unknown subset 'tset'"):
        from_file(SIX, path=path, needed=["test"])


def test_real_footage(cardcut_root: Path) -> None:
    annotations = read_cardcut(cardcut_root).annotations
    counts = {a.video: a.cards for a in annotations}
    for fold in range(5):
        split = by_video(annotations, fold=fold)
        assert not videos(split.train) & (videos(split.test) | videos(split.val))
        assert len(videos(split.test)) in (7, 8)
        assert abs(np.mean([counts[v] for v in videos(split.test)]) - np.mean(list(counts.values()))) < 4


def test_all_but_some_videos() -> None:
    annotations = labels({"a": 1, "b": 2, "c": 3})
    assert videos(all_test(annotations, exclude=["b"]).test) == {"a", "c"}
    with pytest.raises(InputError, match=r"split\.exclude: no video d: choose among a, b, c"):
        all_test(annotations, exclude=["d"])
    with pytest.raises(InputError, match="leaves no frame"):
        all_test(annotations, exclude=["a", "b", "c"])


@pytest.mark.parametrize("split", [by_video, by_video_fraction])
def test_fewer_training_videos_are_spread_and_leave_the_other_sets(split: Callable[..., Split]) -> None:
    annotations = labels({f"{count:02}": count for count in range(1, 41)})
    whole, few = split(annotations, val_videos=2), split(annotations, val_videos=2, train_videos=6)
    assert (few.val, few.test) == (whole.val, whole.test)
    chosen = videos(few.train)
    assert len(chosen) == 6
    assert chosen <= videos(whole.train)
    counts = sorted(int(name) for name in chosen)
    assert counts[0] <= 8
    assert counts[-1] >= 33
    with pytest.raises(InputError, match=r"split\.train_videos=99"):
        split(annotations, train_videos=99)
