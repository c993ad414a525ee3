"""Split a lock in two: torch and torchvision by version alone, and the rest without the CUDA libraries they need.

python split_torch.py LOCK TORCH REST; for a build that takes torch from an index of CPU builds.
"""

import re
import sys
from pathlib import Path

TORCH = ("torch", "torchvision")
CUDA = re.compile(r"(nvidia|cuda)-.+|triton")


def split(lock: str) -> tuple[str, str]:
    """Return the pins of torch, without hashes, and every other pin but those of CUDA, with theirs."""
    torch, rest = [], []
    # A pin starts in the first column; its hashes are indented below it.
    for pin in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE):
        name = pin.partition("==")[0]
        if name in TORCH:
            torch.append(pin.split()[0] + "\n")
        elif not CUDA.fullmatch(name):
            rest.append(pin)
    return "".join(torch), "".join(rest)


if __name__ == "__main__":
    source, torch_pins, other_pins = map(Path, sys.argv[1:])
    for path, text in zip((torch_pins, other_pins), split(source.read_text(encoding="utf-8")), strict=True):
        path.write_text(text, encoding="utf-8")
