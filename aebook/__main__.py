"""`python -m aebook data` fetches the data sets once; `python -m aebook clean` cleans scanned pages."""

import argparse
import sys
from pathlib import Path

from aebook import _silence, data


def main(arguments: list[str] | None = None) -> None:
    """Run a command of the package, `data` or `clean`. Raises SystemExit with a message where something went wrong."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "clean":
            _clean(chosen.inputs, chosen.out, chosen.model)
        else:
            _data()
    except KeyboardInterrupt as stop:
        print(f"\n{chosen.command}: stopped. {stop}".rstrip(), file=sys.stderr)
        raise SystemExit(130) from None  # as shells number what Ctrl-C ended


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aebook", description="Commands of the autoencoder book.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("data", help="fetch and verify the data sets; name the source that the chapters will use")
    cleaner = commands.add_parser("clean", help="clean scanned pages of any size; the results are grey PNG files")
    cleaner.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="images, or folders of images")
    cleaner.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="folder for the cleaned pages")
    weights = "weights to use, an .npz that aebook.clean.save_weights wrote; without it, those of the package"
    cleaner.add_argument("--model", type=Path, metavar="FILE", help=weights)
    return parser


def _data() -> None:
    troubles = []
    for name in data.FILES:
        try:
            print(f"data: {data.resolve(name)}")
        except (data.DataError, ValueError, OSError) as error:
            troubles.append(f"data: {error}")
    if troubles:
        raise SystemExit("\n".join(dict.fromkeys(troubles)))
    if names := data.skipped():
        print(f"data: skipped {names}, which are none of the published files")


def _clean(inputs: list[Path], out: Path, model: Path | None) -> None:
    with _silence():
        from aebook import clean  # with Keras, which `data` need not load
    try:
        clean.clean(inputs, out, model or clean.WEIGHTS)
    except clean.CleanError as error:
        raise SystemExit(f"clean: {error}") from error


if __name__ == "__main__":
    main()
