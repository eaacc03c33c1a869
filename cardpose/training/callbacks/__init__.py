"""What happens beside training, one Lightning callback a file, chosen in conf/callbacks.

pictures    true and predicted corners, heatmaps and the card scatter of the validation set, in TensorBoard
throughput  images a second of training
interrupt   Ctrl-C ends between two batches, with a checkpoint
progress    one bar for the whole run, or plain lines where there is no terminal
collect     every tested frame, for `cardpose.evaluation.report.test_result`

Adding a new callback: a file here with a subclass of lightning.pytorch.Callback that takes plain values, and
an entry with its `_target_` in conf/callbacks/default.yaml.
"""
