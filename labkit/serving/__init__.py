"""Part 6: an LLM platform on a real engine, with the formula and a simulated twin beside it.

Imported module by module (`from labkit.serving import engine, roofline, twin`), so that a script on a GPU machine that
wants only the catalogue of models needs nothing but Python.
"""
