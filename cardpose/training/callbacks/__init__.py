"""Lightning callbacks, one a file, chosen in conf/callbacks.

pictures     true and predicted corners, heatmaps and the card scatter of the validation set
throughput   images per second of training
best_scores  scores of the best checkpoint so far
distillation mixes the predictions of a trained network into the labels
interrupt    Ctrl-C stops between two batches, with a checkpoint
progress     one bar for the whole run, or a line per epoch without a terminal
collect      every tested frame, for `cardpose.evaluation.report.test_result`
prune        stops a trial of a search that cannot become the best

Adding a new callback: a file here with a subclass of lightning.pytorch.Callback that takes plain values, an entry with
its `_target_` in conf/callbacks/default.yaml, and its name in `cardpose.models.builder.ALLOWED`.
"""
