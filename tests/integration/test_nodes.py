"""Two nodes, as two processes with a rendezvous on loopback: one is killed, the other ends, and both continue."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Callback, LightningModule, Trainer

import cardpose
from cardpose.common.packet import Batch
from cardpose.models import checkpoints

COMMAND = (
    "from cardpose.models import builder; builder.ALLOWED |= {'test_nodes.KillSecond'}; "
    "from cardpose.train import main; main()"
)
PATHS = os.pathsep.join([str(Path(cardpose.__file__).parents[1]), str(Path(__file__).parent)])


class KillSecond(Callback):
    """SIGKILL for the second process in batch 1 of epoch 1, where the environment has KILL."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        place = trainer.global_rank, trainer.current_epoch, batch_idx
        if place == (1, 1, 1) and "KILL" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)


def run_nodes(words: list[str], **environment: str) -> list[tuple[int, list[str]]]:
    """Exit code and lines on stderr of each node, with the variables that torchrun would set."""
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(find_free_network_port()),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "TORCHELASTIC_RUN_ID": "mine",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONPATH": PATHS,
        **environment,
    }
    nodes = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words],
            env={**os.environ, **shared, "RANK": rank, "GROUP_RANK": rank},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        errors = [node.communicate(timeout=240)[1].splitlines() for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    return [(node.returncode, lines) for node, lines in zip(nodes, errors, strict=True)]


def test_a_killed_node_ends_the_other_in_one_line_and_both_continue(
    tiny_choices: tuple[str, ...], tiny_folder: Path, tmp_path: Path, allow_target: Callable[[str], str]
) -> None:
    allow_target("test_nodes.KillSecond")
    run = tmp_path / "run"
    last = run / "checkpoints" / "last.ckpt"
    words = [*tiny_choices, f"data.root={tiny_folder}", f"paths.cache={tmp_path}/cache"]
    words += ["trainer=ddp_spawn_cpu", "trainer.devices=1", "trainer.num_nodes=2"]
    words += ["+callbacks.kill={_target_:test_nodes.KillSecond}", f"hydra.run.dir={run}"]
    (code, lines), (killed, _) = run_nodes(words, KILL="1")
    assert (code, killed) == (2, -signal.SIGKILL), lines
    assert [line for line in lines if "the connection to another process of this training was lost" in line]
    assert not [line for line in lines if "Traceback" in line]
    assert checkpoints.read(last)["epoch"] == 0
    for code, lines in run_nodes([f"resume={last}"]):
        assert code == 0, lines
    assert checkpoints.read(last)["epoch"] == 1
