"""`python -m aebook data` fetches the data sets once; `python -m aebook clean` cleans scanned pages."""

import argparse
from pathlib import Path

from PIL import Image

from aebook import _silence, data

CLEANER = Path(__file__).with_name("cleaner.keras")


def main(arguments: list[str] | None = None) -> None:
    """Run a command of the package, `data` or `clean`. Raises SystemExit with a message where something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m aebook", description="Commands of the autoencoder book.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("data", help="fetch and verify the data sets; name the source that the chapters will use")
    cleaner = commands.add_parser("clean", help="clean scanned pages of any size; the results are grey PNG files")
    cleaner.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="images, or folders of images")
    cleaner.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="folder for the cleaned pages")
    cleaner.add_argument("--model", type=Path, default=CLEANER, metavar="FILE", help="Keras model to use")
    chosen = parser.parse_args(arguments)
    if chosen.command == "clean":
        return clean(chosen.inputs, chosen.out, chosen.model)
    for name in data.FILES:
        print(f"data: {data.resolve(name)}")


def clean(inputs: list[Path], out: Path, model: Path = CLEANER) -> None:
    """Clean every image of inputs, files or folders, into the folder out, as `<name>.png`; no file is overwritten.

    model: file of a Keras model, fully convolutional, from patches (n, h, w, 1) in [0, 1], 1 white, to clean ones.
    Raises SystemExit with a message when the model cannot be loaded and, after all good pages are done, with a list of
    the bad ones.
    Taught in chapter 07.
    """
    try:
        from aebook.documents import WHITE, clean_page, read_page, to_bytes  # what `data` need not load

        with _silence():
            import keras

            from aebook.train import somebody_watches

            network = keras.saving.load_model(model, compile=False)
    except Exception as error:  # no file, no model, a layer that nobody knows
        raise SystemExit(f"clean: {error}\n  Chapter 07 trains a model; name its file with --model.") from error
    paths = [path for given in inputs for path in (sorted(given.glob("[!.]*")) if given.is_dir() else [given])]
    bad = []
    for i, path in enumerate(paths, 1):
        target, half = out / f"{path.stem}.png", out / f".{path.stem}.part"
        title = f"{i}/{len(paths)} {path.name}" * somebody_watches()
        try:
            page = read_page(path)
            if target.exists():
                raise FileExistsError(f"{target} exists already and stays as it is; choose another folder")
            page = clean_page(lambda rows: to_bytes(network.predict(rows / WHITE, 4, verbose=0)), page, title=title)
            out.mkdir(parents=True, exist_ok=True)
            Image.fromarray(page[..., 0]).save(half, "PNG")
            half.rename(target)  # who stops the program leaves no half page under a good name
        except Exception as error:  # whatever is wrong with one page, the others are cleaned
            bad.append(str(error) if str(path) in str(error) else f"{path}: {error}")
    print(f"clean: {len(paths) - len(bad)} of {len(paths)} pages cleaned into {out}")
    if bad or not paths:
        raise SystemExit("\n".join(bad) or "clean: the folder holds no pages")


if __name__ == "__main__":
    main()
