"""Searches that go on after an interruption as if there had been none, and stop trials that are hopeless."""

import json
from pathlib import Path
from typing import Any

import pytest
from in_process import Command
from omegaconf import OmegaConf
from trainings import Trainings

from cardpose.common.exits import PRUNED
from cardpose.common.subprocesses import INTERRUPTED
from cardpose.sweeps.folder import TRIAL, Job
from cardpose.sweeps.report.results import read_sweep
from cardpose.training.callbacks.prune import STUDY, open_storage

optuna = pytest.importorskip("optuna", reason='needs the extra: pip install -e ".[sweep]"')

SPACE = (
    *("-m", "optim.lr=tag(log,interval(0.001,1))", "model=choice(unet,unet_small)", "augment=light"),
    *(
        "loss.cards=1",
        "loss.visibility=1",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.sampler.n_startup_trials=2",
    ),
)


def search(folder: str, trials: int = 5) -> tuple[str, ...]:
    return (*SPACE, "sweep=optuna", f"hydra.sweeper.n_trials={trials}", f"hydra.sweep.dir={folder}")


def study(path: Path) -> Any:
    return optuna.load_study(study_name=STUDY, storage=open_storage(str(path)))


def trials_of(folder: str) -> list[Any]:
    return study(Path(folder) / "search.journal").trials


def test_every_trial_is_a_job_and_the_best_is_reported(trainings: Trainings, sweep_command: Command) -> None:
    done = sweep_command(*search("a"))
    assert done.code == 0, done.err
    trials = trials_of("a")
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 5
    names = [f"model-{trial.params['model']}__optim.lr-{trial.params['optim.lr']}" for trial in trials]
    assert trainings.folders == names
    assert all((Path("a") / name / "metrics.json").is_file() for name in names)
    for trial, words in zip(trials, trainings.called, strict=True):
        assert {f"{key}={value}" for key, value in trial.params.items()} < set(words)
        assert {"loss.cards=1", "loss.visibility=1", "augment=light"} < set(words)
        assert trial.value == abs(trial.params["optim.lr"] - 0.004), "the validation score of its run"
    best = OmegaConf.load("a/optimization_results.yaml")
    assert best.best_value == min(trial.value for trial in trials)
    reported = next(line for line in done.err.splitlines() if line.startswith("Best "))
    assert reported.startswith(f"Best val/card_mae {best.best_value:.4g}: model=")
    assert f"optim.lr={best.best_params['optim.lr']}" in reported


def test_an_interrupted_search_proposes_what_it_would_have_proposed(
    trainings: Trainings, sweep_command: Command
) -> None:
    assert sweep_command(*search("whole")).code == 0
    expected = [(trial.params, trial.value) for trial in trials_of("whole")]
    third, finished = trainings.folders[2], len(trainings.called)
    trainings.broken = {third: "ctrl-c"}
    stopped = sweep_command(*search("stopped"))
    assert stopped.code == INTERRUPTED
    assert "resume_sweep=true" in stopped.err
    assert [trial.state.name for trial in trials_of("stopped")] == ["COMPLETE"] * 2 + ["RUNNING"] * 2
    trainings.broken = {}
    assert sweep_command(*search("stopped"), "resume_sweep=true").code == 0
    assert [(trial.params, trial.value) for trial in trials_of("stopped")] == expected
    assert len(trainings.called) == 2 * finished + 1, "no finished trial runs twice"
    assert sweep_command(*search("stopped", trials=6), "resume_sweep=true").code == 0
    assert len(trials_of("stopped")) == 6, "n_trials counts those before"


def test_a_failed_and_a_pruned_trial_stop_no_search(trainings: Trainings, sweep_command: Command) -> None:
    def call(words: list[str], **options: Any) -> tuple[int, bool]:
        number = json.loads(Path(options["env"][TRIAL]).read_text())["number"]
        if number == 1:
            options["stderr"].write("cardpose.train: after epoch 3: val/card_mae 9\n")
            options["stderr"].flush()
            return PRUNED, False
        trainings.broken = {"": 1} if number == 2 else {}
        return stand_in(words, **options)

    from cardpose.sweeps import jobs as sweep_jobs

    stand_in, sweep_jobs.call = sweep_jobs.call, call  # put back by the fixture
    done = sweep_command(*search("a", trials=4))
    assert done.code == 1
    assert "4 jobs: 2 finished, 1 pruned, 1 failed" in done.err
    assert [trial.state.name for trial in trials_of("a")] == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    reported = read_sweep(Path("a"), []).others
    assert sorted(reason.split(":")[0] for reason in reported.values()) == ["failed", "pruned"]
    pruned = next(path for path in Path("a/logs").glob("*.pruned"))
    assert (
        Job(Path("a").absolute(), pruned.name.removesuffix(".pruned")).reason()
        == "after epoch 3: val/card_mae 9"
    )


def test_a_storage_of_something_else_is_one_line(trainings: Trainings, sweep_command: Command) -> None:
    assert sweep_command(*search("a", trials=1)).code == 0
    Path("a/search.journal").write_text("mine\nmine\n")
    done = sweep_command(*search("a"), "resume_sweep=true")
    assert done.code == 2
    assert "Traceback" not in done.err
    (line,) = (line for line in done.err.splitlines() if line.startswith("cardpose.train: "))
    assert "a/search.journal: cannot be read" in line
    assert len(trainings.called) == 1


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("sampler.name=tea", "hydra.sweeper.sampler.name=tea: choose tpe, random"),
        ("pruner.name=mean", "hydra.sweeper.pruner.name=mean: choose median"),
        ("+pruner.epochs=3", "hydra.sweeper.pruner: "),
    ],
)
def test_a_setting_that_optuna_does_not_have_is_one_line(
    trainings: Trainings, sweep_command: Command, setting: str, line: str
) -> None:
    word = setting.replace("sampler", "hydra.sweeper.sampler").replace("pruner", "hydra.sweeper.pruner")
    done = sweep_command(*search("a"), word)
    assert done.code == 2
    assert line in done.err
    assert "Traceback" not in done.err
    assert not trainings.called


def test_another_search_space_is_refused(trainings: Trainings, sweep_command: Command) -> None:
    assert sweep_command(*search("a", trials=2)).code == 0
    done = sweep_command(*search("a"), "model=choice(unet,unet_mobilenetv3_small)", "resume_sweep=true")
    assert done.code == 2
    assert "was begun with other choices of model" in done.err
    assert "Traceback" not in done.err


def test_random_trials_are_drawn_from_the_same_space(trainings: Trainings, sweep_command: Command) -> None:
    chosen = [word for word in search("a", trials=3) if "startup" not in word and word != "sweep=optuna"]
    assert sweep_command(*chosen, "sweep=random").code == 0
    rates = [trial.params["optim.lr"] for trial in trials_of("a")]
    assert len(set(rates)) == 3
    assert all(0.001 <= rate <= 1 for rate in rates)


def test_a_search_killed_while_its_parameters_were_drawn_draws_them_again(
    trainings: Trainings, sweep_command: Command
) -> None:
    assert sweep_command(*search("whole", trials=4)).code == 0
    assert sweep_command(*search("killed", trials=2)).code == 0
    study(Path("killed/search.journal")).ask()
    assert sweep_command(*search("killed", trials=4), "resume_sweep=true").code == 0
    killed = trials_of("killed")
    assert [trial.state.name for trial in killed] == ["COMPLETE"] * 2 + ["FAIL"] + ["COMPLETE"] * 2
    del killed[2]
    assert [trial.params for trial in killed] == [trial.params for trial in trials_of("whole")]
