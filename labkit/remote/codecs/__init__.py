"""One record, twenty-one encodings, 1969 to 2025: `ALL`, oldest first."""

from labkit.remote.codecs.catalogue import ALL, named
from labkit.remote.codecs.codec import Codec, Crossing, bytes_of, cross

__all__ = ["ALL", "Codec", "Crossing", "bytes_of", "cross", "named"]
