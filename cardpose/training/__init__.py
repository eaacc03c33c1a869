"""Training: from a configuration to a tested checkpoint in a run folder.

build             a configuration's objects
lightning_module  the LightningModule: network, loss and metrics
losses            the objective
schedules         learning-rate schedules
hardware          precision and memory format of this machine; the Trainer
callbacks         what happens beside the training steps
loggers, hparams  where curves, pictures and hyperparameters go
testing           a trained model tested on labelled footage
run_folder        what lies in a run folder, and the script that repeats the run

Adding a new loss, callback or logger: see `losses`, `callbacks` and `loggers`.
"""
