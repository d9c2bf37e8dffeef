"""Layer 4: models with all they need to score (weights, preset, embeddings), and the files they live in.

Nothing here runs code from a file: model files are safetensors with a JSON header, and the published checkpoint's
pickles go through restricted readers.
"""

from .model import QualityModel
from .model_file import load_model, save_model
