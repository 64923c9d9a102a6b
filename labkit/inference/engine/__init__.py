"""One LLM engine for all notebooks of a session: vLLM on the GPU, vLLM on the CPU, or the twin, behind one address."""

from labkit.inference.engine.install import EngineError
from labkit.inference.engine.launch import Settings
from labkit.inference.engine.session import Engine, running, start, stop_all

__all__ = ["Engine", "EngineError", "Settings", "running", "start", "stop_all"]
