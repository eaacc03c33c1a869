"""Many trainings: grids, searches and cross-validation, each run in a folder of its own.

folder (layout of a sweep, `Job`), jobs (run by a launcher), session (one go at it), search and trials (Optuna),
progress, fold_runs (cross-validation), significance (comparison of settings), report/ (tables, plots, page).
hydra_plugins/cardpose_sweeper.py is where Hydra finds the sweepers.
"""
