"""Tab completion of the experiments' `KEY=VALUE` words."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer


def experiment_command(name: str) -> Callable[..., None]:
    """A function that stands for an experiment in a Typer application and suggests its words."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        return override_suggestions(name, context.params.get("words") or [], incomplete)

    def command(
        words: Annotated[list[str] | None, typer.Argument(autocompletion=complete)] = None,
    ) -> None: ...

    return command


def override_suggestions(experiment: str, words: Sequence[str], incomplete: str) -> list[str]:
    """Completions of the last word, composed from conf/ without importing the experiment.

    Bash splits words at `=`; the suggestions are then the parts after the sign.

    Args:
        words: after the experiment's name, before the last one.
        incomplete: the last word as far as it is typed.

    >>> override_suggestions("train", ["-m"], "debug=s"), override_suggestions("train", ["debug", "="], "s")
    (['debug=smoke'], ['smoke'])
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    from cardpose.common.hydra_entry import CONF

    line = " ".join([*words, incomplete]).replace(" = ", "=")
    prefix = line.rpartition(" ")[2].removesuffix(incomplete)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plugin = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())
        found = plugin._query(experiment, line)  # what Hydra's plug-ins for shells print
        while len(found) == 1 and found[0].endswith(("=", ".", "/")):  # the shell would add a space
            deeper = plugin._query(experiment, " ".join([*words, found[0]]))
            if not deeper:
                break
            found = deeper
    return [suggestion.removeprefix(prefix) for suggestion in found]
