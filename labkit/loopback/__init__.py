"""What runs on 127.0.0.1: programs that die with their owner, a proxy between them, and small servers."""

from labkit.loopback.connection import Counts
from labkit.loopback.programs import Program, ProgramError, allow_open_files, folder, free_port, listening
from labkit.loopback.proxy import Proxy
from labkit.loopback.serve import serve

__all__ = ["Counts", "Program", "ProgramError", "Proxy", "allow_open_files", "folder", "free_port", "listening",
           "serve"]
