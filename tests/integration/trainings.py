"""A stand-in for the trainings of a sweep, so that the sweep is what is tested."""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from cardpose.common.subprocesses import INTERRUPTED


@dataclass
class Trainings:
    """The stand-in: leaves a finished run, by default, and remembers what was called."""

    broken: dict[str, Any] = field(default_factory=dict)
    """Part of a run folder's name -> an exit code, or "ctrl-c"; a checkpoint is left first where it is a string."""
    noting: bool = False
    """Whether a run notes its configuration, which takes time."""
    called: list[list[str]] = field(default_factory=list)

    @property
    def folders(self) -> list[str]:
        """Names of the run folders in the order of the calls."""
        return [place(words).name for words in self.called]

    def call(self, words: list[str], **options: Any) -> tuple[int, bool]:
        self.called.append(words)
        run = place(words)
        (run / ".hydra").mkdir(parents=True, exist_ok=True)
        if not any(word.startswith("resume=") for word in words):
            overrides = [word for word in words[3:] if not word.startswith("hydra.")]
            OmegaConf.save(OmegaConf.create(overrides), run / ".hydra" / "overrides.yaml")
            if self.noting:
                OmegaConf.save(compose("train", overrides), run / ".hydra" / "config.yaml")
        code = next((code for part, code in self.broken.items() if part in run.name), 0)
        if isinstance(code, str):
            (run / "checkpoints").mkdir(exist_ok=True)
            with zipfile.ZipFile(run / "checkpoints" / "last.ckpt", "w") as last:
                last.writestr("weights", "")
            return INTERRUPTED, True
        if code:
            options["stderr"].write("cardpose.train: data.root: no such folder: choose another\n")
            options["stderr"].flush()
            return code, False
        rates = [
            line for line in OmegaConf.load(run / ".hydra" / "overrides.yaml") if line.startswith("optim.lr=")
        ]
        error = abs(float(rates[0].partition("=")[2]) - 0.004) if rates else 1.0
        (run / "metrics.json").write_text(json.dumps({"val/card_mae": error, "test/card_mae": error}))
        return 0, False


def place(words: list[str]) -> Path:
    """The run folder of a training's command."""
    for override in OverridesParser.create().parse_overrides(words[3:]):
        if override.key_or_group in ("hydra.run.dir", "resume"):
            path = Path(str(override.value()))
            return path if override.key_or_group == "hydra.run.dir" else path.parent.parent
    raise AssertionError(words)
