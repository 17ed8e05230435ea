"""Snakemake, with the book's log handler beside this file on its path. build.py calls it."""

from snakemake.cli import main

if __name__ == "__main__":
    main()
