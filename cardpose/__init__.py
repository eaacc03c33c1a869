"""cardpose: corners, visibility and the number of cards of a packet of playing cards, from footage.

Modules of this package are commands, listed in `cardpose.__main__`; what they share lives in the subpackages, whose
order of imports docs/architecture.md shows. `cardpose.Predictor` is the trained model in Python.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cardpose.prediction.predictor import Predictor as Predictor

__version__ = "0.1.0"

# torch's threads (GNU OpenMP) wait for each other by spinning, for milliseconds by default, which starves them beside
# another busy program. It is read when torch is loaded; docs/performance.md has the measurements.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
    os.environ["GOMP_SPINCOUNT"] = "1000"


def __getattr__(name: str) -> Any:
    """`Predictor`, imported when it is first used, since it imports torch."""
    if name == "Predictor":
        from cardpose.prediction.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
