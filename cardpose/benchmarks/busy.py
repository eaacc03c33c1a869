"""Training steps beside other busy programs: `python -m cardpose.bench benchmarks=[busy]`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf import DictConfig

from cardpose.benchmarks.timing import Timing, measure
from cardpose.benchmarks.training import step_of
from cardpose.common.subprocesses import end_with_parent
from cardpose.training import hardware

LOOP = "while True: pass"


def bench_busy(cfg: DictConfig) -> Iterator[Timing]:
    """Training steps on one random batch while 0, 1 and 2 other programs compute without a pause."""
    step = step_of(cfg, cfg.trainer.memory_format, hardware.choose_precision(cfg.trainer.accelerator))
    for number in range(3):
        with busy_programs(number):
            label = f"busy, beside {number} other programs"
            yield measure(label, "images/s", cfg.data.batch_size, step, cfg.warmup, cfg.repeats)


@contextmanager
def busy_programs(number: int) -> Iterator[None]:
    """Keep so many cores busy inside the block."""
    programs = [
        subprocess.Popen([sys.executable, "-c", LOOP], preexec_fn=end_with_parent) for _ in range(number)
    ]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()
