# Chapters -> executed notebooks -> site. `make book` calls this; so can a cluster, through Snakemake's executor plugins.
import json
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "book" / "tools"))
import budget
import notebooks
import reading
from aebook import data

PROFILE = config.get("profile", "fast")
BUILD = f"_build/{PROFILE}"
CHAPTERS = notebooks.chapters()
PARAMETERS = notebooks.profile(PROFILE)
MEASURED = Path(workflow.basedir) / "benchmarks/results/chapters.json"
SECONDS = reading.from_json(MEASURED, "seconds by chapter") if MEASURED.exists() else {}
THREADS = max(1, (workflow.cores or 1) // len(CHAPTERS))  # a chapter's share of the cores
# Processor seconds that one cell may use: ten times what the fast profile's longest chapters take as a whole.
LIMIT = {"fast": 2400}.get(PROFILE, 14_400)
MEMORY = int(config.get("memory") or sys.maxsize)  # MB for all chapters together; one that needs more has them all
PYTHON = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")  # Snakemake fills in what stands in braces


rule site:
    input:
        expand(f"{BUILD}/notebooks/{{chapter}}.ipynb", chapter=CHAPTERS),
        expand(f"{BUILD}/benchmarks/{{chapter}}.tsv", chapter=CHAPTERS),
        [path for path in Path("book").rglob("*") if path.is_file() and "__pycache__" not in path.parts],
        "_config.yml",
        "_toc.yml",
    output:
        f"{BUILD}/html/index.html",
    shell:
        f"{PYTHON} book/tools/stage.py --profile {PROFILE}"


rule chapters:
    input:
        expand(f"{BUILD}/notebooks/{{chapter}}.ipynb", chapter=CHAPTERS),


# A loop, since a rule has one priority for all its files: what takes longest begins first, or the end waits for it.
for chapter in CHAPTERS:

    rule:
        name:
            f"chapter_{chapter}"
        input:
            notebook=f"notebooks/{chapter}.ipynb",
            package=[str(path) for path in sorted(Path("aebook").glob("*.py"))],
            versions="constraints.txt",
        output:
            notebook=f"{BUILD}/notebooks/{chapter}.ipynb",
            # Snakemake's own `benchmark:` looks at memory every 30 s and misses the peak of a chapter that takes 40.
            benchmark=f"{BUILD}/benchmarks/{chapter}.tsv",
        params:
            values=json.dumps(PARAMETERS[chapter]),
            data=json.dumps(data.available()),
        log:
            f"{BUILD}/logs/{chapter}.log",
        threads: THREADS
        resources:
            mem_mb=min(budget.need(PROFILE, chapter), MEMORY),
        priority: round(SECONDS.get(chapter, LIMIT))
        shell:
            # NumPy's matrix library, too: idle threads of two chapters on two cores spin in each other's way.
            "TF_NUM_INTRAOP_THREADS={threads} OPENBLAS_NUM_THREADS={threads} OMP_NUM_THREADS={threads} "
            f"{PYTHON} book/tools/run_chapter.py {{input.notebook:q}} {{output.notebook:q}}"
            " --parameters {params.values:q} --log {log:q} --benchmark {output.benchmark:q} --limit {LIMIT}"
