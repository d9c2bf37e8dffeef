"""An anatomical CT phantom: a random torso with labelled organs, rendered as a scanner would see it.

Phantoms give the training pipeline what real data cannot: unlimited, freely licensed CTs whose reference
masks are exact. They are drawings of anatomy, not patients: nothing measured on them is a clinical result.

Seeds below ``FIRST_UNSEEN_SEED`` may have been used for training; demonstrations and tests of a trained model
use seeds from there on.
"""

from .make import FIRST_UNSEEN_SEED, STRUCTURES, Phantom, make_phantom
