"""An LLM engine, from its first token to its last bit: notebooks 60 to 63.

Imported module by module (`from labkit.inference import engine, roofline, twin`), so that a script on a GPU machine
that wants only the catalogue of models needs nothing but Python.
"""
