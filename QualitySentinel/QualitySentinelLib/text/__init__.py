"""Text: embeddings of structure names, in a table; the encoders that make them load their libraries when first used."""

from .encoders import OpenClipEncoder, SentenceEncoder
from .table import DEFAULT_PROMPT, EmbeddingTable, TextEncoder
