"""`python -m labkit.metastability my-service.toml`: assess a service from the command line."""

import argparse
import sys

from labkit.metastability.assess import assess, assess_tiers
from labkit.metastability.described import read


def main(arguments: list[str] | None = None) -> int:
    """Print the assessment; 0, or 2 with one line on stderr when the file is wrong."""
    parser = argparse.ArgumentParser(prog="python -m labkit.metastability",
                                     description="Is this service vulnerable to a metastable failure?")
    parser.add_argument("file", help="service description in TOML; data/my-service.toml is a sample")
    options = parser.parse_args(arguments)
    try:
        tiers, load = read(options.file)
        one = tiers[0]
        print(assess(one.service, one.clients, load) if len(tiers) == 1 else assess_tiers(tiers, load))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
