"""Tables, plots and pages of an evaluation.

tables              metrics.json, CSV tables, and the table of the scores
plots, drawing      pictures: plots; packets, corners and heatmaps
html                the one writer of pages: sections of text, table and pictures in one file
sections            a model's evaluation as sections
test_result         what a test gives, with access to its pictures
comparison          two models on the same frames
folds               the folds of a cross-validation; fold_report, what is written of them
error_by_condition  errors by count, camera position and sharpness

Adding a new section: a function in `sections` that returns `html.Section`, and its call in `sections.sections`.
"""
