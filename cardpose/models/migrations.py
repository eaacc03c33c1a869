"""Configurations of older checkpoints, rewritten to today's class paths and keys where a checkpoint is read."""

CLASSES = {
    "cardpose.callbacks.interrupt.StopOnCtrlC": "cardpose.training.callbacks.interrupt.GracefulInterrupt",
    "cardpose.callbacks.pictures.Pictures": "cardpose.training.callbacks.pictures.Pictures",
    "cardpose.callbacks.progress.TrainingProgress": "cardpose.training.callbacks.progress.TrainingProgress",
    "cardpose.callbacks.throughput.Throughput": "cardpose.training.callbacks.throughput.Throughput",
    "cardpose.data.cardcut.read_cardcut": "cardpose.data.footage.cardcut.read_cardcut",
    "cardpose.data.folder.DatasetFolder.read": "cardpose.data.footage.folder.DatasetFolder.read",
    "cardpose.data.layouts.read_any": "cardpose.data.footage.layouts.read_any",
    "cardpose.hardware.make_trainer": "cardpose.training.hardware.make_trainer",
    "cardpose.heatmaps.encode": "cardpose.models.heatmaps.encode",
    "cardpose.models.efficientnet_lite.EfficientNetLite": "cardpose.models.encoders.efficientnet_lite.EfficientNetLite",
    "cardpose.models.encoders.ConvEncoder": "cardpose.models.encoders.conv.ConvEncoder",
    "cardpose.models.head.FittedBox": "cardpose.models.head.BoxFeatures",
    "cardpose.models.head.NoHeatmaps": "cardpose.models.head.NoFeatures",
    "cardpose.models.head.PooledHeatmaps": "cardpose.models.head.PooledFeatures",
    "cardpose.models.head.Thickness": "cardpose.models.head.ThicknessFeatures",
    "cardpose.models.mobilenetv3.MobileNetV3": "cardpose.models.encoders.mobilenetv3.MobileNetV3",
    "cardpose.models.timm_features.TimmFeatures": "cardpose.models.encoders.timm_features.TimmFeatures",
    "cardpose.schedules.one_cycle": "cardpose.training.schedules.one_cycle",
    "cardpose.schedules.warmup_cosine": "cardpose.training.schedules.warmup_cosine",
    "cardpose.synth.distributions": "cardpose.synth.sampling.distributions",
    "cardpose.synth.generate.Footage": "cardpose.synth.dataset.Footage",
    "cardpose.synthesize.read_or_render": "cardpose.synth.dataset.read_or_render",
}
"""Old dotted path -> new one; a module's path stands for all that it defines."""

KEYS = {
    "footage": "render",
    "synth": "scene",
    "head": "count_features",
    "count": "count_head",
    "weights": "init_from",
    "weights_parts": "init_modules",
    "data.film": "data.stream",
    "data.film_frames": "data.samples_per_epoch",
    "data.film_ratio": "data.synthetic_ratio",
    "model.head.describe": "model.head.heatmap_features",
    "model.head.readout": "model.head.count_head",
}
"""Old key of a stored configuration -> new one, dotted from its root."""
