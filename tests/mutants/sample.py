#!/usr/bin/env python3
"""The sample of run.sh, and what has become of it: sample.py choose|next|take|table DIRECTORY ..."""

import json
import pathlib
import random
import re
import sys

# Which files an area is; the rest of src/tcp is the rest.
AREAS = {
    "recovery": r"recovery/",
    "congestion": r"congestion/",
    "input": r"(input|acknowledged|challenge|timestamps)\.rs",
    "output": r"(output|ack|nagle|send_window)\.rs",
    "rest": "",
}
# What cargo-mutants says, and what it means after which stage.
KILLED, TIMED_OUT, SURVIVED, UNVIABLE = "killed", "timed out", "survived", "not viable"
OUTCOMES = {"CaughtMutant": KILLED, "Timeout": TIMED_OUT, "MissedMutant": SURVIVED, "Unviable": UNVIABLE}


def area(name):
    path = name.removeprefix("src/tcp/")
    return next(area for area, files in AREAS.items() if re.match(files, path))


def load(path):
    return json.loads(path.read_text()) if path.exists() else {}


def save(path, value):
    path.write_text(json.dumps(value, indent=1))


def choose(work, seed, sizes, again):
    """Chooses the mutants, evenly spread over the order in which they run."""
    names = {area: [] for area in AREAS}
    for mutant in load(work / "all.json"):
        names[area(mutant["name"])].append(mutant["name"])
    shuffled = random.Random(int(seed))
    chosen = []
    for name, size in (size.split("=") for size in sizes.split()):
        shuffled.shuffle(names[name])
        some = names[name][: int(size)]
        print(f"{name}: {len(some)} of {len(names[name])}")
        chosen += [(place / len(some), mutant) for place, mutant in enumerate(some)]
    chosen = [mutant for _, mutant in sorted(chosen)]
    results = load(work / "results.json")
    for mutant in list(results):
        if mutant not in chosen or (again and results[mutant][0] == SURVIVED):
            del results[mutant]
    save(work / "sample.json", chosen)
    save(work / "results.json", results)


def waiting(work, stage, count):
    """Arguments that choose the next mutants of a stage, one a line; none left is an error.

    Files are taken whole: cargo-mutants 27 asks no pattern about the fields it deletes, and so runs those of all files
    named. `take` leaves them out.
    """
    results = load(work / "results.json")
    wanted = (None, None) if stage == "quick" else (SURVIVED, "quick")
    names = [name for name in load(work / "sample.json") if tuple(results.get(name, (None, None))) == wanted]
    if not names:
        sys.exit(1)
    names.sort(key=lambda name: (list(AREAS).index(area(name)), name))
    chosen = []
    for name in names:
        path = name.split(":")[0]
        if len(chosen) >= int(count) and not chosen[-1].startswith(path + ":"):
            break
        chosen.append(name)
    for path in sorted({name.split(":")[0] for name in chosen}):
        print(f"--file={path}")
    print("--re=^(" + "|".join(re.escape(name).replace("\\ ", " ") for name in chosen) + ")$")


def take(work, stage):
    """Adds what cargo-mutants has found out."""
    results, sample = load(work / "results.json"), set(load(work / "sample.json"))
    for outcome in load(work / stage / "mutants.out" / "outcomes.json")["outcomes"]:
        name = outcome["scenario"]["Mutant"]["name"] if outcome["scenario"] != "Baseline" else None
        if name in sample:
            results[name] = (OUTCOMES[outcome["summary"]], stage)
    save(work / "results.json", results)
    print(f"{len(results)} of {len(sample)} done")


def table(work):
    """What docs/mutants.md shows."""
    results = load(work / "results.json")
    print("| area | sampled | viable | killed | timed out | survived | noticed |")
    print("|---|---|---|---|---|---|---|")
    for name in [*AREAS, "all"]:
        found = [what for mutant, (what, _) in results.items() if name in (area(mutant), "all")]
        viable = len(found) - found.count(UNVIABLE)
        noticed = 100 * (1 - found.count(SURVIVED) / max(viable, 1))
        counts = [len(found), viable, found.count(KILLED), found.count(TIMED_OUT), found.count(SURVIVED)]
        print(f"| {name} | {' | '.join(map(str, counts))} | {noticed:.1f} % |")
    print()
    for mutant, (what, stage) in sorted(results.items()):
        if what == SURVIVED:
            print(f"- `{mutant}`" + ("" if stage == "thorough" else " (so far)"))


if __name__ == "__main__":
    {"choose": choose, "next": waiting, "take": take, "table": table}[sys.argv[1]](
        pathlib.Path(sys.argv[2]), *sys.argv[3:]
    )
