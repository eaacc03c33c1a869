"""The table of a sweep is that of its runs, on the terminal, as CSV, as a page and in TensorBoard."""

import csv
import json
import math
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context

from cardpose.common.errors import InputError
from cardpose.sweep_table import show, sweep_table
from cardpose.sweeps.folder import NOTE, Job, job_name
from cardpose.sweeps.report.page import cells, headings, notes, terminal_tables, verdict, write_sweep_page
from cardpose.sweeps.report.plots import PANELS, effect
from cardpose.sweeps.report.results import COSTS, ERRORS, SHOWN, read_sweep, run_rows
from cardpose.training.hparams import log_hyperparameters
from cardpose.training.loggers import TensorBoard

OVER = ("seed", "split.fold")
MODELS = {"unet": (2.0, 480.0, 1.1e6), "unet_small": (3.0, 300.0, 0.4e6), "hourglass": (2.02, 1500.0, 4.1e6)}
Write = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> Write:
    """write_run(overrides, scores, cost) leaves a finished run in the sweep tmp_path/sweep."""

    def write(
        overrides: Mapping[str, object], scores: Mapping[str, float], cost: Mapping[str, float]
    ) -> Path:
        lines = [f"{key}={value}" for key, value in overrides.items()]
        run = tmp_path / "sweep" / job_name(lines)
        (run / ".hydra").mkdir(parents=True)
        OmegaConf.save(OmegaConf.create(["experiment=baseline", *lines]), run / ".hydra" / "overrides.yaml")
        (run / "metrics.json").write_text(json.dumps(scores))
        (run / "cost.json").write_text(json.dumps(cost))
        return run

    return write


@pytest.fixture
def sweep(write_run: Write, tmp_path: Path) -> Path:
    """Three models, two losses, three seeds: hourglass is as good as unet, unet_small worse; a job that failed."""
    rng = np.random.default_rng(0)
    for model, (error, seconds, parameters) in MODELS.items():
        for weight in ("1", "2"):
            for seed in range(3):
                chance = float(np.exp(rng.normal(0, 0.03)))
                scores = {
                    "val/card_mae": error * chance * (1.3 if weight == "2" else 1),
                    "val/corner_px_median": 1.5 * float(np.exp(rng.normal(0, 0.03))),
                    "test/card_mae": error + 0.1,
                    "test/corner_px_median": 1.7,
                }
                cost = {"train_seconds": seconds + seed, "parameters": parameters}
                write_run({"model": model, "loss.cards": weight, "seed": seed}, scores, cost)
    Job(tmp_path / "sweep", "model=unett,seed=0.5").note("failed", "Could not find 'model/unett'")
    return tmp_path / "sweep"


def test_settings_are_the_overrides_without_the_seeds(sweep: Path) -> None:
    results = read_sweep(sweep, OVER)
    assert (results.swept, results.replicates) == (["model", "loss.cards"], ["seed"])
    assert results.fixed == {"experiment": "baseline"}
    assert len(results.settings) == 6
    assert results.settings[-1] == ("unet_small", "2")
    for k, setting in enumerate(results.settings):
        own = [
            run for run in results.runs if (run.overrides["model"], run.overrides["loss.cards"]) == setting
        ]
        values = [run.scores["val/card_mae"] for run in own]
        assert len(own) == 3
        assert results.mean("val/card_mae")[k] == pytest.approx(np.mean(values))
        assert results.std("val/card_mae")[k] == pytest.approx(np.std(values, ddof=1))
    means = results.mean("val/card_mae")
    assert list(means) == sorted(means)
    assert results.others == {"model=unett,seed=0.5": "failed: Could not find 'model/unett'"}


def test_the_better_by_chance_is_marked_and_the_worse_is_not(sweep: Path) -> None:
    results = read_sweep(sweep, OVER)
    row = {setting: k for k, setting in enumerate(results.settings)}
    found = results.compare("val/card_mae")
    assert found.best in (row["unet", "1"], row["hourglass", "1"])
    assert set(np.flatnonzero(found.inside_noise())) == {row["unet", "1"], row["hourglass", "1"]} - {
        found.best
    }
    front = results.front("cost/train_seconds")
    assert set(np.flatnonzero(front)) >= {row["unet", "1"], row["unet_small", "1"]}
    assert (
        not front[row["unet_small", "2"]] or results.mean("cost/train_seconds")[row["unet_small", "2"]] < 301
    )
    marked = {line[1]: line[4] for line in cells(results, ERRORS) if line[2] == "1"}
    assert {marked["unet"][-1], marked["hourglass"][-1]} == {"*", "="}
    assert marked["unet_small"][-1] not in "*="


def test_the_answer_is_one_sentence_before_the_table(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(sweep_table(sweep, aggregate_over=list(OVER)))
    answer = capsys.readouterr().out.splitlines()[0]
    assert answer == verdict(read_sweep(sweep, OVER))
    assert answer in (sweep / "table.html").read_text()
    names = {f"model={model} loss.cards=1" for model in ("unet", "hourglass")}
    assert {name for name in names if name in answer} == names
    assert answer.startswith("best: ")
    assert answer.endswith("is within the noise")


@pytest.mark.parametrize(
    ("errors", "end"),
    [
        ({"a": [1.0, 1.01, 1.02], "b": [2.0, 2.01, 2.02]}, "model=b with 2.01, is above the noise"),
        ({"a": [1.0], "b": [2.0]}, "model=b with 2.00, may be noise, which is unknown without repeated runs"),
        (
            {"a": [1.0, 1.01], "b": [math.nan]},
            "model=a with 1.00 cards (val/card_mae); no other setting has a score",
        ),
        ({"a": [math.nan], "b": [math.nan]}, "best: unknown, no run has val/card_mae"),
    ],
)
def test_the_answer_says_how_sure_it_is(
    write_run: Write, errors: Mapping[str, list[float]], end: str
) -> None:
    for model, values in errors.items():
        for seed, value in enumerate(values):
            run = write_run({"model": model, "seed": seed}, {"val/card_mae": value}, {})
    assert verdict(read_sweep(run.parent, OVER)).endswith(end)


def test_one_run_a_setting_states_that_seeds_are_missing(write_run: Write) -> None:
    for rate in (0.1, 0.01):
        run = write_run({"optim.lr": rate}, {"val/card_mae": 2 + rate}, {})
    results = read_sweep(run.parent, OVER)
    assert any("seed=range(0,3)" in note for note in notes(results))
    assert not any("=" in line[3] for line in cells(results, ["val/card_mae"]))
    assert "seed=range(0,3)" not in notes(results)[0]


def test_over_states_what_repeats_a_setting(sweep: Path) -> None:
    results = read_sweep(sweep, ["loss.cards", "seed"])
    assert (results.swept, results.replicates) == (["model"], ["loss.cards", "seed"])
    assert [len(np.flatnonzero(results.setting_of == k)) for k in range(3)] == [6, 6, 6]


def test_a_run_that_lacks_a_score_or_its_cost_has_an_empty_cell(write_run: Write) -> None:
    write_run({"model": "unet"}, {"val/card_mae": 2.0}, {"parameters": 1e6})
    run = write_run({"model": "unet_small"}, {"val/card_mae": math.nan, "val/corner_px_median": 1.0}, {})
    (run / "cost.json").unlink()  # of a version before there was one
    results = read_sweep(run.parent, OVER)
    assert results.settings == [("unet",), ("unet_small",)]
    last = dict(zip(headings(results, SHOWN), cells(results, SHOWN)[1], strict=True))
    assert (
        last["card error (MAE), cards"].strip(),
        last["median corner error, px"],
        last["parameters, M"].strip(),
    ) == (
        "",
        "1.00 *",
        "",
    )


def test_everything_is_written_and_states_the_same(sweep: Path) -> None:
    sweep_table(sweep, aggregate_over=list(OVER))
    results = read_sweep(sweep, OVER)
    with (sweep / "table.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["model"] for row in table] == [setting[0] for setting in results.settings]
    for key in SHOWN:
        np.testing.assert_array_equal([float(row[f"{key} mean"]) for row in table], results.mean(key))
    with (sweep / "runs.csv").open(newline="") as file:
        runs = {row["run"]: row for row in csv.DictReader(file)}
    assert len(runs) == 18
    for run in results.runs:
        assert {key: float(runs[run.name][key]) for key in run.scores} == run.scores
        assert runs[run.name]["seed"] == run.overrides["seed"]
    assert read_sweep(sweep, OVER).runs == results.runs, "what is written beside the runs is no run"


class Page(HTMLParser):
    """Rows of the page's tables, and the sources of its pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.pictures: list[str] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_cell = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        if self._in_cell:
            self.rows[-1].append("")
        if tag == "img":
            self.pictures.append(str(dict(attrs)["src"]))

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = False


def test_the_page_shows_the_table_and_needs_nothing_else(sweep: Path, tmp_path: Path) -> None:
    results = read_sweep(sweep, OVER)
    write_sweep_page(tmp_path / "table.html", "a <sweep>", results)
    text = (tmp_path / "table.html").read_text()
    page = Page()
    page.feed(text)
    assert page.rows[1:7] == cells(results, SHOWN)
    assert page.rows[-1] == ["model=unett,seed=0.5", "failed: Could not find 'model/unett'"]
    assert "a &lt;sweep&gt;" in text
    assert len(page.pictures) == len(COSTS) + len(PANELS) * len(results.swept)
    assert all(picture.startswith("data:image/png;base64,") for picture in page.pictures)


def test_the_terminal_tables_fit_80_columns(sweep: Path) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in terminal_tables(read_sweep(sweep, OVER)):
        console.print(table)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for line in cells(read_sweep(sweep, OVER), ERRORS):
        assert all(cell.strip() in text for cell in line[3:])


def test_a_search_is_drawn_on_a_scale(write_run: Write) -> None:
    """More numbers than a list of names could hold, one of them missing its score."""
    for i in range(12):
        rate = 10.0 ** (-4 + i / 4)
        scores = {"val/card_mae": 2.0 + abs(i - 6) / 10 if i else math.nan}
        run = write_run({"optim.lr": rate}, scores, {"train_seconds": 10.0, "parameters": 1e6})
    results = read_sweep(run.parent, OVER)
    assert len(results.settings) == 12
    assert np.unique(effect(results, "optim.lr", "val/card_mae")).size > 2, "something is drawn"


@pytest.mark.parametrize("name", ["none", "empty"])
def test_a_folder_without_runs_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=rf"{tmp_path}/{name}: "):
        read_sweep(tmp_path / name, OVER)


def test_half_written_runs_are_reported_and_in_no_figure(sweep: Path) -> None:
    before = read_sweep(sweep, OVER)
    half = next(sweep.glob("model-unet__*seed-1"))
    (half / "metrics.json").unlink()
    after = read_sweep(sweep, OVER)
    assert len(after.runs) == len(before.runs) - 1
    assert after.others[half.name] == "not finished"


def test_the_hparams_tab_shows_what_the_sweep_varies_and_the_named_scores(sweep: Path) -> None:
    """TensorBoard's own backend, whichever run it takes the columns from; the cells are those of runs.csv."""
    words = ["experiment=baseline", "model=unet,unet_small", "loss.cards=1,2", "seed=0,1"]
    OmegaConf.save(OmegaConf.create({"hydra": {"overrides": {"task": words}}}), sweep / NOTE)
    results = read_sweep(sweep, OVER)
    for run in results.runs:
        logger = TensorBoard(sweep / run.name, name="tensorboard", version="", default_hp_metric=False)
        logger.log_metrics({"val/card_rmse": 1.0, "val_best/card_mae": 9.0}, step=3)  # of an earlier epoch
        config = {"loss": {"cards": float(run.overrides["loss.cards"])}, "optim": {"lr": 0.1}}
        trainer = SimpleNamespace(loggers=[logger], global_step=7)
        log_hyperparameters(trainer, config, sweep / run.name, run.scores)  # type: ignore[arg-type]
        logger.finalize("success")
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(sweep))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(sweep))
    backend = Context(TBContext(data_provider=provider))
    tags = backend.hparams_metadata(RequestContext(), "")
    assert len(tags) == len(results.runs)
    for own in tags.values():
        shown = backend.experiment_from_metadata(RequestContext(), "", True, {"run": own}, [])
        assert {column.name for column in shown.hparam_infos} == {"model", "loss.cards", "seed"}
        names = {metric.name.tag for metric in shown.metric_infos}
        assert names == {"val_best/card_mae", "val_best/corner_px_median"}
    scalars = provider.read_last_scalars(RequestContext(), experiment_id="", plugin_name="scalars")
    for row in run_rows(results):
        value = scalars[f"{row['run']}/tensorboard"]["val_best/card_mae"].value
        assert value == pytest.approx(torch.tensor(row["val/card_mae"]).float().item())
