"""Reads the configuration files people have, in the words of the relations: one small reader a family of programs."""

from labkit.interactions.settings.reader import FLAT, KINDS, flat, kind_of, read, read_text
from labkit.interactions.settings.words import Configuration, Several, Written, neighbour

__all__ = ["FLAT", "KINDS", "Configuration", "Several", "Written", "flat", "kind_of", "neighbour", "read", "read_text"]
