"""The wall clock of one process, moved: for clock jumps without root, and without touching the machine's own clock.

A process on Linux asks the time of the vDSO, a page of code that the kernel puts into it. We write a jump over the
first bytes of its `clock_gettime`, to a few instructions that make the real system call and then add an offset to
the wall clock. The page is the process's own copy; its monotonic clock, by which timers run, stays right. This is
how Chaos Mesh moves clocks (github.com/chaos-mesh/chaos-mesh, pkg/time); libfaketime replaces functions of the C
library and so does not reach Go programs, which do without it.
"""

from __future__ import annotations

import os
import platform
import signal
import struct
import sys

from labkit import ranges

NAME = b"__vdso_clock_gettime\0"
# mov eax, 228; syscall; test edi, edi (0: the wall clock); jne to the end; mov rcx, offset; add [rsi], rcx; ret
BEFORE = bytes.fromhex("b8e4000000 0f05 85ff 750d 48b9")
AFTER = bytes.fromhex("48010e c3")
ROOM = 64               # bytes at the end of the vDSO that hold our instructions
DYNAMIC, STRINGS, SYMBOLS = 2, 5, 6         # of the ELF format: a segment, and two entries of it


def movable() -> bool:
    """Whether `move` works here."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def move(process: int, seconds: float) -> None:
    """Set the wall clock of a process we may trace `seconds` ahead (behind, if negative) of the machine's.

    process: its number. seconds: -1e9 to 1e9, cut to whole ones; 0 sets it right. Raises OSError where that cannot
    be done.
    """
    ranges.number("seconds", seconds, -1e9, 1e9)
    if not movable():
        raise OSError("clocks of single processes can be moved on Linux x86-64 only")
    start, end = _vdso(process)
    with open(f"/proc/{process}/mem", "r+b", buffering=0) as memory:
        memory.seek(start)
        image = memory.read(end - start)
        stub = end - ROOM + (-(end - ROOM + len(BEFORE)) % 8)       # so that the offset is written in one piece
        code = BEFORE + struct.pack("<q", int(seconds)) + AFTER
        os.kill(process, signal.SIGSTOP)
        try:
            memory.seek(stub)
            memory.write(code)
            entry = start + _symbol(image)
            memory.seek(entry)
            memory.write(b"\xe9" + struct.pack("<i", stub - entry - 5))
        finally:
            os.kill(process, signal.SIGCONT)


def _vdso(process: int) -> tuple[int, int]:
    with open(f"/proc/{process}/maps") as maps:
        line = next((line for line in maps if line.rstrip().endswith("[vdso]")), None)
    if line is None:
        raise OSError(f"process {process} has no vDSO")
    start, end = (int(part, 16) for part in line.split()[0].split("-"))
    return start, end


def _symbol(image: bytes) -> int:
    """Where the vDSO's `clock_gettime` begins, from the table of its names."""
    headers, size, count = (*struct.unpack_from("<Q", image, 0x20), *struct.unpack_from("<HH", image, 0x36))
    table = {}
    for at in range(headers, headers + size * count, size):
        kind, _, place = struct.unpack_from("<IIQ", image, at)
        if kind == DYNAMIC:
            length = struct.unpack_from("<Q", image, at + 32)[0]
            table = dict(struct.iter_unpack("<QQ", image[place:place + length - length % 16]))
    strings, symbols = table[STRINGS], table[SYMBOLS]
    rows = image[symbols:symbols + (strings - symbols) // 24 * 24]        # the names follow their table
    for name, _, _, _, value, _ in struct.iter_unpack("<IBBHQQ", rows):
        if image.startswith(NAME, strings + name):
            return int(value)
    raise OSError("the vDSO has no clock_gettime")
