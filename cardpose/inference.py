"""Old name of the predictor, for one release: use `cardpose.Predictor`."""

import warnings

from cardpose.prediction.predictor import FramePrediction, Predictor

__all__ = ["FramePrediction", "Predictor"]

warnings.warn("cardpose.inference is now cardpose.Predictor", DeprecationWarning, stacklevel=2)
