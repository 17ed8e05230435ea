# One run a row and seed, then their means: `make results`. It goes on where it was stopped.
import shlex
import sys
from pathlib import Path

HERE = Path(workflow.basedir)
sys.path.insert(0, str(HERE.parent / "book" / "tools"))
import reading

ROWS = reading.from_yaml(HERE / "rows.yml", "rows, and below each what is run for it")
PYTHON = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")  # Snakemake fills in what stands in braces
LONG = config.get("long", "no") == "yes"
OUT = "benchmarks/results/published"


wildcard_constraints:
    seed=r"\d+",


rule results:
    input:
        [f"{OUT}/{row}.json" for row, about in ROWS.items() if LONG or not about.get("long")],


rule summary:
    input:
        lambda wildcards: [f"{OUT}/{wildcards.row}_{seed}.json" for seed in range(ROWS[wildcards.row]["seeds"])],
    output:
        f"{OUT}/{{row}}.json",
    shell:
        f"{PYTHON} book/tools/results_page.py {{wildcards.row}}"


rule run:
    output:
        f"{OUT}/{{row}}_{{seed}}.json",
    threads: workflow.cores  # one at a time: each takes all cores, and its seconds are reported
    shell:
        f"{PYTHON} benchmarks/published.py {{wildcards.row}} {{wildcards.seed}}"
