"""Confide as a method: trains, then codes the test rows in both views through the binary."""

import csv
import json
import subprocess
import tempfile
from pathlib import Path

from protocol import coded


def version(binary):
    return subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def codes(tiers, book, train, validation, test, seed, binary, device, further):
    """The codes of the test rows by view, as the bundle that `confide train` writes gives them in f32."""
    with tempfile.TemporaryDirectory() as work:
        table, bundle, found = (Path(work) / name for name in ("rows.csv", "bundle", "answers.csv"))
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*train[0], "split"])
            writer.writeheader()
            for split, rows in (("train", train), ("validation", validation), ("test", test)):
                writer.writerows({**row, "split": split} for row in rows)
        flags = [f"--{f}".split("=", 1) for f in further]
        run = lambda *a: subprocess.run([binary, *map(str, a), "--device", device, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        run("train", book, "--data", table, "--base", "minilm", "-o", bundle, "--seed", seed, *(x for f in flags for x in f))
        run("evaluate", bundle, table, "--precision", "f32", "--answers", found)
        with found.open(encoding="utf-8", newline="") as file:
            answers = {row["id"]: row for row in csv.DictReader(file)}

    def read(row, view):
        given = answers[row["id"]]
        return {t.name: coded(t, {t.name: given[f"{t.name}__{view}"]}) for t in tiers}

    return {view: [read(row, view) for row in test] for view in ("oracle", "pipeline")}
