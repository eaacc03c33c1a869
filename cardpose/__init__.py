"""cardpose: corners, visibility and the number of cards of a packet of playing cards, from footage.

Imports point one way (a test enforces it)::

    errors, packet <- heatmaps, geometry <- data, synth, models, losses, metrics <- module <- entries

The entries (`train`, `evaluate`, `synthesize`, `convert`, `bench`), with `cli` and `build` which they share, alone
import hydra and omegaconf.
"""

__version__ = "0.1.0"
