"""`python -m aebook data`: fetch the data sets once and say which source the chapters will use."""

import argparse

from aebook import data


def main(arguments: list[str] | None = None) -> None:
    """Run a command of the package; `data` is the only one so far."""
    parser = argparse.ArgumentParser(prog="python -m aebook", description="Commands of the autoencoder book.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("data", help="fetch and verify the data sets; name the source that the chapters will use")
    parser.parse_args(arguments)
    for name in data.FILES:
        print(f"data: {data.resolve(name)}")


if __name__ == "__main__":
    main()
