"""Snakemake, with the book's log handler beside this file on its path. build.py calls it."""

import sys

from snakemake.cli import main

if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # Snakemake's parser answers some mistakes with an error of its own
        sys.exit(f"Snakemake stopped, most often over a mistake in the Snakefile: {type(error).__name__}: {error}")
