"""labkit: the tested code the notebooks call.

Floors, an import only goes down: topics (`metastability`, ...) -> `course` -> `ranges`, `files`.
"""

__version__ = "0.1.0"
