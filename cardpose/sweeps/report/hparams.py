"""What TensorBoard's HParams tab shows of a sweep's folder: the overrides and scores of the table, not every key.

Each run notes all its keys; one file in the sweep's folder says which of them are the columns.
"""

import io
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.summary_v2 import HParam, Metric, hparams_config_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from cardpose.common.files import replace_file
from cardpose.sweeps.report.results import SHOWN, SweepResults
from cardpose.training.hparams import tag_of

FILE = "events.out.tfevents.0.sweep_table"


def write_hparams(folder: Path, results: SweepResults) -> None:
    """Say in `folder` which columns the HParams tab has: `tensorboard --logdir <folder>`.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    keys = [*results.swept, *results.replicates]
    metrics = [Metric(tag_of(key), display_name=name) for key, name in SHOWN.items()]
    columns = hparams_config_pb([HParam(key) for key in keys], metrics, time_created_secs=0)
    records = io.BytesIO()
    writer = RecordWriter(records)
    for event in (Event(file_version="brain.Event:2"), Event(summary=columns)):
        writer.write(event.SerializeToString())
    with replace_file(folder / FILE) as temporary:
        temporary.write_bytes(records.getvalue())
