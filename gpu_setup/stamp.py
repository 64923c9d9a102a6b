"""Point badges, install cells and links at a copy of this repository: python gpu_setup/stamp.py owner/repo

Can be run again for another copy: whatever owner/repo the files name now is replaced. Outputs are not touched.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# only addresses of this course: a notebook of it on Colab, or the install cell's and the scripts' git address
PLACES = [re.compile(r"(colab\.research\.google\.com/github/)[\w.-]+/[\w.-]+(?=/blob/)"),
          re.compile(r"(labkit(?:\[\w+\])? @ git\+https://github\.com/)[\w.-]+/[\w.-]+(?=[\\\"@])"),
          re.compile(r"(REPO:-https://github\.com/)[\w.-]+/[\w.-]+(?=\})")]


def stamp(text: str, repo: str) -> str:
    """`text` with every address of the course naming `repo`."""
    for place in PLACES:
        text = place.sub(rf"\g<1>{repo}", text)
    return text


def main(arguments: list[str]) -> int:
    """Stamp all notebooks and scripts; 2 with a message for anything but one owner/repo."""
    if len(arguments) != 1 or not re.fullmatch(r"[\w.-]+/[\w.-]+", arguments[0]):
        print(f"usage: python gpu_setup/stamp.py owner/repo (got {' '.join(arguments) or 'nothing'})", file=sys.stderr)
        return 2
    changed = 0
    for file in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("gpu_setup/*.ipynb"), *ROOT.glob("gpu_setup/gcp/*.sh")]:
        before = file.read_text(encoding="utf-8")
        after = stamp(before, arguments[0])
        if after != before:
            file.write_text(after, encoding="utf-8")
            changed += 1
    print(f"{changed} files now name {arguments[0]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
