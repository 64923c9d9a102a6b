"""Small readers of the configuration files that people have, into the words of the relations."""

from labkit.interactions.readers.files import KINDS, read
from labkit.interactions.readers.found import Default, Found, Several

__all__ = ["KINDS", "Default", "Found", "Several", "read"]
