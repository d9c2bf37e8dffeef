"""Text: embeddings of structure names, in a table; the encoders that make them load their libraries when first used."""

from .encoder import TextEncoder
from .open_clip_encoder import OpenClipEncoder
from .sentence_encoder import SentenceEncoder
from .table import DEFAULT_PROMPT, EmbeddingTable
