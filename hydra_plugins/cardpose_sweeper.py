"""cardpose's sweepers, where Hydra looks for plugins: conf/sweep names them.

Hydra imports this module at the start of every experiment, so heavy modules are imported where they are used.
"""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from cardpose.common.hydra_entry import user_errors


class GridSweeper(BasicSweeper):
    """Every combination, as Hydra's own sweeper; but a failed job stops no other, and a sweep can be continued.

    Args:
        max_batch_size: jobs passed to the launcher at once; None: all.
        params: sweeps besides those of the command line, which replaces them, key to values.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from cardpose.sweeps.jobs import run_job
        from cardpose.sweeps.session import enter

        with user_errors("train"):
            self.folder = enter(config)
            super().setup(hydra_context=hydra_context, task_function=run_job, config=config)

    def sweep(self, arguments: list[str]) -> None:
        from cardpose.sweeps.session import session_in

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        loader = self.hydra_context.config_loader
        typed = {argument.partition("=")[0] for argument in arguments}
        own = {key: values for key, values in self.params.items() if key not in typed}
        given = [*(f"{key}={values}" for key, values in own.items()), *arguments]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(given)
        swept = {override.get_key_element() for override in overrides if override.is_sweep_override()}
        batches = self.split_arguments(overrides, self.max_batch_size)
        with user_errors("train"), session_in(self.folder, self.config, loader) as session:
            jobs = [[session.add(job, swept) for job in batch] for batch in batches]
            session.bar.expect(len(session.jobs), len(session.jobs) - len(session.to_run()))
            for batch in jobs:
                session.launch(self.launcher, [job for job in dict.fromkeys(batch) if not job.outcome()])


class SearchSweeper(Sweeper):
    """Trials proposed by Optuna, see `cardpose.sweeps.search`.

    Args:
        settings: of conf/sweep/optuna.yaml; read in `sweep`, because they contain the folder chosen in `setup`.
    """

    def __init__(self, **settings: Any) -> None:
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from cardpose.sweeps.jobs import run_job
        from cardpose.sweeps.search import check_optuna
        from cardpose.sweeps.session import enter

        with user_errors("train"):
            check_optuna(config.hydra.runtime.choices.sweep)
            self.folder = enter(config)
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=run_job, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from cardpose.sweeps.search import Search
        from cardpose.sweeps.session import session_in

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        settings = self.config.hydra.sweeper
        given = [*(f"{key}={values}" for key, values in settings.params.items()), *arguments]
        loader = self.hydra_context.config_loader
        with user_errors("train"), session_in(self.folder, self.config, loader) as session:
            Search(settings, session, given).run(self.launcher)
