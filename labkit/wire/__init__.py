"""What the two halves of part 6 and the agents speak: the OpenAI protocol and the metrics of an engine.

Imported module by module: `from labkit.wire import chat`.
"""
