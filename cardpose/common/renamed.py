"""Configuration keys of cardpose 0.1.0 that have another name now, on command lines and in checkpoints alike."""

RENAMED = {
    "footage": "render",
    "synth": "scene",
    "head": "count_features",
    "count": "count_head",
    "weights": "init_from",
    "weights_parts": "init_modules",
    "split.without": "split.exclude",
    "data.film": "data.stream",
    "data.film_frames": "data.samples_per_epoch",
    "data.film_ratio": "data.synthetic_ratio",
    "model.head.describe": "model.head.heatmap_features",
    "model.head.readout": "model.head.count_head",
}
"""Old key -> new one, dotted from the root of the configuration."""
