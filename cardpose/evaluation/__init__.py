"""How well a model does: scores, and the tables, plots and pages that show them.

metrics  what is computed of labels and predictions
report   what is written and printed of it
"""
