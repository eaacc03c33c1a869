"""The smallest network that predicts."""

NETWORK = {
    "model": {
        "_target_": "cardpose.models.unet.UNet",
        "encoder": {
            "_target_": "cardpose.models.encoders.conv.ConvEncoder",
            "widths": [4, 8, 8],
            "depths": [1, 1, 1],
        },
        "decoder": {
            "_target_": "cardpose.models.decoder.UNetDecoder",
            "_partial_": True,
            "stride": 2,
            "width": 4,
            "max_width": 8,
        },
        "head": {
            "_target_": "cardpose.models.head.CountVisibilityHead",
            "_partial_": True,
            "heatmap_features": {
                "_target_": "cardpose.models.head.BoxFeatures",
                "found": 0.3,
                "tolerance": 0.024,
            },
            "hidden": 8,
        },
    },
    "data": {"size": [48, 64]},
    "heatmap": {"stride": 2, "sigma": 1.0, "decode": "quadratic"},
}
"""The parts of a checkpoint's configuration that a prediction needs."""
