"""What runs on 127.0.0.1: programs that die with their owner, a proxy between them, and small servers."""

from labkit.loopback.programs import Program, folder, free_port
from labkit.loopback.proxy import Proxy
from labkit.loopback.serve import serve

__all__ = ["Program", "Proxy", "folder", "free_port", "serve"]
