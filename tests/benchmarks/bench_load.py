"""Large studies: wall time and peak memory of `bayescal data validate`, and of reading and a short calibration (one
cost for everybody, 20 draws). Each measurement is a process of its own; the time to start Python is apart,
but in the processor's time, which counts on a machine that does other things too.

    python tests/benchmarks/bench_load.py [--large] [CASE ...]

Cases are csv, parquet (rows of one game played once), games, groups (over time) and rounds (of each person). Sizes
triple, so times and memory that grow by more than a factor of three (after what a small study needs) are worse than
linear. The largest size of each case needs --large.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

TABLES = {True: "decisions.parquet", False: "decisions.csv"}


def write(folder: Path, table: pd.DataFrame, games: str, *, parquet: bool = False) -> None:
    folder.mkdir()
    file = TABLES[parquet]
    (folder / "dataset.toml").write_text(f'[meta]\ntitle = "large"\nfile = "{file}"\n\n[games]\n{games}')
    if parquet:
        table.to_parquet(folder / file)
    else:
        table.to_csv(folder / file, index=False)


def crowd(people: int, rounds: int) -> dict[str, np.ndarray]:
    names = np.char.add("p", np.arange(people).astype(str))
    half = np.where(np.arange(people) < people / 2, "row", "column")
    return {
        "participant": np.repeat(names, rounds),
        "role": np.repeat(half, rounds),
        "round": np.tile(np.arange(1, rounds + 1), people),
    }


def choices(n: int) -> np.ndarray:
    return np.random.default_rng(0).choice(["stag", "hare"], n, p=[0.7, 0.3])


def of_rows(folder: Path, rows: int, parquet: bool) -> None:
    """A thousand decisions a person."""
    table = pd.DataFrame(crowd(rows // 1000, 1000)).assign(action=choices(rows))
    write(folder, table, 'stag = "stag-hunt"\n', parquet=parquet)


def of_games(folder: Path, games: int) -> None:
    """Ten people choose once in each 2 x 2 game."""
    rng = np.random.default_rng(0)
    names = [f"g{k:04d}" for k in range(games)]
    payoffs = rng.integers(0, 20, (games, 2, 2, 2)).tolist()
    text = "".join(
        f'{n} = {{ payoffs = {p}, roles = ["row", "column"], actions = [["stag", "hare"], ["stag", "hare"]] }}\n'
        for n, p in zip(names, payoffs, strict=True)
    )
    write(folder, pd.DataFrame(crowd(10, games)).assign(game=np.tile(names, 10), action=choices(10 * games)), text)


def of_groups(folder: Path, groups: int) -> None:
    """Pairs in a repeated prisoner's dilemma of ten rounds."""
    defects = np.random.default_rng(0).integers(0, 2, (groups, 2, 10))
    state = np.zeros((groups, 10), int)  # 0 at the beginning, then what both did
    state[:, 1:] = 1 + 2 * defects[:, 0, :-1] + defects[:, 1, :-1]
    table = pd.DataFrame(crowd(2 * groups, 10)).assign(
        group=np.repeat(np.char.add("g", np.arange(groups).astype(str)), 20),
        role=np.tile(np.repeat(["player 1", "player 2"], 10), groups),
        state=np.repeat(state, 2, axis=0).ravel(),
        action=np.where(defects.ravel() == 1, "defect", "cooperate"),
    )
    write(folder, table, 'pd = "repeated-dilemma"\n')


def of_rounds(folder: Path, rounds: int) -> None:
    """Twenty people."""
    table = pd.DataFrame(crowd(20, rounds)).assign(action=choices(20 * rounds))
    write(folder, table, 'stag = "stag-hunt"\n')


CASES: dict[str, tuple[Callable[[Path, int], None], tuple[int, int, int]]] = {
    "csv": (lambda folder, n: of_rows(folder, n, parquet=False), (300_000, 1_000_000, 10_000_000)),
    "parquet": (lambda folder, n: of_rows(folder, n, parquet=True), (300_000, 1_000_000, 10_000_000)),
    "games": (of_games, (500, 1_500, 5_000)),
    "groups": (of_groups, (100, 300, 1_000)),
    "rounds": (of_rounds, (1_000, 3_000, 10_000)),
}


def validate(folder: str) -> dict[str, float]:
    from bayescal.study import check_study

    begun = perf_counter()
    check_study(folder)
    return {"read": perf_counter() - begun}


def calibrate(folder: str) -> dict[str, float]:
    import bayescal as bc
    from bayescal.model.standard import standard_models

    begun = perf_counter()
    study = bc.load_study(folder)
    read = perf_counter()
    models = standard_models(study, pooled=True)
    built = perf_counter()
    bc.calibrate(study, models={"pooled": next(iter(models.values()))}, method=bc.NUTS(draws=20, warmup=20, chains=1))
    return {"read": read - begun, "build": built - read, "fit": perf_counter() - built}


def child(step: str, *words: object) -> str:
    """What a new process prints. One that this process had made would begin with the memory of the table made here, so
    the table is made by another too."""
    called = [sys.executable, __file__, "--child", step, *map(str, words)]
    done = subprocess.run(called, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{step}: {done.stderr[-2000:]}")
    return done.stdout


def measured(step: str, folder: Path) -> dict[str, float]:
    """Seconds of each part, and the peak memory in GB, of a new process."""
    return json.loads(child(step, folder).splitlines()[-1])


def main(cases: list[str], sizes: int) -> None:
    print(f"{'case':<9}{'size':>12}  {'step':<10}{'GB':>7}  seconds")
    for case in cases or CASES:
        for size in CASES[case][1][:sizes]:
            with tempfile.TemporaryDirectory() as parent:
                folder = Path(parent) / "study"
                child("make", case, size, folder)
                for step in ("validate", "calibrate"):
                    found = measured(step, folder)
                    peak = found.pop("peak")
                    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in found.items())
                    print(f"{case:<9}{size:>12,}  {step:<10}{peak:>7.2f}  {parts}", flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:2] == ["--child", "make"]:
        CASES[words[2]][0](Path(words[4]), int(words[3]))
    elif words[:1] == ["--child"]:
        found = {"validate": validate, "calibrate": calibrate}[words[1]](words[2])
        used, unit = resource.getrusage(resource.RUSAGE_SELF), 1e9 if sys.platform == "darwin" else 1e6
        all_in_all = {"processor in all": used.ru_utime + used.ru_stime}
        print(json.dumps(found | all_in_all | {"peak": used.ru_maxrss / unit}))
    else:
        main([w for w in words if w != "--large"], 3 if "--large" in words else 2)
