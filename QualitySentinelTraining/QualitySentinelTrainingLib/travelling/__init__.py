"""Multi-center training that finds harmful centers and samples: the travelling model."""

from .protocol import (
    CenterUnavailable,
    Event,
    Fate,
    Journey,
    Learner,
    TravelOptions,
    TravelState,
    Visit,
    classification_errors,
)
