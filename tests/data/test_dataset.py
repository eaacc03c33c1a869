import numpy as np
import pytest
from torch.utils.data import DataLoader

from cardpose.common.packet import Annotation
from cardpose.data.cache import FrameCache
from cardpose.data.dataset import CardDataset
from cardpose.data.sampler import ResumableDistributedSampler
from cardpose.geometry.letterbox import letterbox

SIZE = (48, 64)
SOURCE = (96, 160)  # not the network's shape: padding above and below


def shift_by_seed(
    image: np.ndarray, corners: np.ndarray, visibility: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An augmentation whose whole result is its seed."""
    return np.full_like(image, seed % 256), corners + seed % 1000, visibility


@pytest.fixture(scope="module")
def annotations() -> list[Annotation]:
    rng = np.random.default_rng(0)
    made = []
    for video, cards in (("b", 7), ("a", None), ("c", 52)):
        for index in range(4):
            visibility = rng.integers(0, 3, 8).astype(np.int8)
            corners = rng.uniform((0, 0), (SOURCE[1] - 1, SOURCE[0] - 1), (8, 2)).astype(np.float32)
            corners[visibility == 0] = np.nan
            made.append(Annotation(video, index, np.nan, SOURCE[1], SOURCE[0], corners, visibility, cards))
    return made


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, annotations: list[Annotation]) -> FrameCache:
    """A cache written by hand; row n holds noise of its own."""
    path = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(1)
    fitted = [letterbox(rng.integers(0, 256, (*SOURCE, 3), dtype=np.uint8), SIZE) for _ in annotations]
    np.save(path / "images.npy", np.stack([image for image, _ in fitted]))
    np.save(path / "to_source.npy", np.stack([to_source for _, to_source in fitted]))
    return FrameCache(path)


def test_a_sample_is_its_annotation(frames: FrameCache, annotations: list[Annotation]) -> None:
    rows = [9, 2, 5]
    videos = ["c", "unlabelled", "a", "b"]
    dataset = CardDataset(frames, annotations, rows, videos)
    assert len(dataset) == 3
    for i, row in enumerate(rows):
        sample, truth = dataset[i], annotations[row]
        np.testing.assert_array_equal(sample["image"].numpy(), frames.images[row].transpose(2, 0, 1))
        np.testing.assert_array_equal(sample["visibility"].numpy(), truth.visibility)
        to_source, corners = sample["to_source"].numpy(), sample["corners"].numpy()
        back = corners @ to_source[:, :2].T + to_source[:, 2]
        labelled = truth.visibility > 0
        np.testing.assert_allclose(back[labelled], truth.corners[labelled], atol=1e-3)
        assert (corners[~labelled] == 0).all()
        np.testing.assert_equal(sample["cards"].item(), np.nan if truth.cards is None else truth.cards)
        assert videos[sample["video"]] == truth.video
        assert sample["frame_index"] == truth.frame_index
        assert sample["source_size"].tolist() == [truth.width, truth.height]


def test_types_and_shapes(frames: FrameCache, annotations: list[Annotation]) -> None:
    sample = CardDataset(frames, annotations, range(12), ["a", "b", "c"], shift_by_seed)[3]
    described = {key: (str(value.dtype)[6:], tuple(value.shape)) for key, value in sample.items()}
    assert described == {
        "image": ("uint8", (3, *SIZE)),
        "corners": ("float32", (8, 2)),
        "visibility": ("int64", (8,)),
        "cards": ("float32", ()),
        "video": ("int64", ()),
        "frame_index": ("int64", ()),
        "to_source": ("float32", (2, 3)),
        "source_size": ("float32", (2,)),
    }


def test_the_key_decides_the_augmentation(frames: FrameCache, annotations: list[Annotation]) -> None:
    def corners(key: int, seed: int = 0) -> bytes:
        dataset = CardDataset(frames, annotations, [0] * 6, ["a", "b", "c"], shift_by_seed, seed)
        return dataset[key]["corners"].numpy().tobytes()

    assert [corners(key) for key in (4, 10, 16)] == [corners(key) for key in (4, 10, 16)]
    assert len({corners(key) for key in range(18)}) == 18  # each example, each epoch
    assert corners(4, seed=1) != corners(4)


def test_workers_change_nothing(frames: FrameCache, annotations: list[Annotation]) -> None:
    seen = []
    for workers in (0, 2):
        dataset = CardDataset(frames, annotations, range(12), ["a", "b", "c"], shift_by_seed, seed=3)
        sampler = ResumableDistributedSampler(len(dataset), seed=3)
        loader = DataLoader(
            dataset, batch_size=5, sampler=sampler, num_workers=workers, persistent_workers=workers > 0
        )
        epochs = []
        for epoch in range(3):
            sampler.set_epoch(epoch)
            epochs.append([batch["corners"].numpy().tobytes() for batch in loader])
        seen.append(epochs)
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[0][1] != seen[0][2]


def test_no_rows(frames: FrameCache, annotations: list[Annotation]) -> None:
    assert len(CardDataset(frames, annotations, [], ["a", "b", "c"])) == 0


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_an_epoch_is_a_permutation(epoch: int) -> None:
    keys = np.array(list(ResumableDistributedSampler(50, seed=2, epoch=epoch)))
    assert (keys // 50 == epoch).all()
    assert sorted(keys % 50) == list(range(50))
    assert (keys % 50 != np.arange(50)).any()


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [key % 30 for key in ResumableDistributedSampler(30, seed, epoch)]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3) != order(2, 3)
    later = ResumableDistributedSampler(30, seed=1)
    list(later)
    later.set_epoch(2)
    assert [key % 30 for key in later] == order(1, 2)


def test_skip_is_once() -> None:
    whole = list(ResumableDistributedSampler(20, seed=0, epoch=4))
    resumed = ResumableDistributedSampler(20, seed=0, epoch=4, skip=12)
    assert len(resumed) == 20
    assert list(resumed) == whole[12:]
    assert list(resumed) == whole
