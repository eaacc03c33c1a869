"""Old name of the predictor, for one release: use `cardpose.Predictor`."""

import warnings

from cardpose.prediction.predictor import Predictor
from cardpose.prediction.records import Prediction as FramePrediction

__all__ = ["FramePrediction", "Predictor"]

warnings.warn("cardpose.inference is now cardpose.Predictor", DeprecationWarning, stacklevel=2)
