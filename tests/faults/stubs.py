"""The commands as they are, with numbers that cost nothing: everything that they do to the disk is real.

The sampler and the trainer are chains of numbers, each made from the one before. They write the real checkpoints and
go on from them, so that a run that lost something, or took something of another run, ends in other numbers.
"""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import xarray as xr

STEPS = 4
MODELS = ("pooled", "by game")
TABLE = b"game,n\nT1,30\n"


def chain(seed: int, name: str, done: int, before: np.ndarray) -> np.ndarray:
    """One more number, from all those before."""
    rng = np.random.default_rng([seed, len(name), done, int(abs(before.sum()) * 1e6)])
    return np.append(before, rng.normal())


def sample(study, *, models, method, checkpoints, progress=None, **_):
    """In place of `calibrate`."""
    from bayescal.posterior import checkpoint
    from bayescal.posterior.calibrate import checkpoint_in
    from bayescal.posterior.fit import Fit
    from bayescal.posterior.status import Status

    fits = {}
    for name in models:
        path, facts = checkpoint_in(checkpoints, name), {"seed": str(method.seed), "model": name}
        done, x = 0, np.array([])
        if method.resume and path.exists():
            at = checkpoint.read(path, facts)
            done, x = at.done, at.kept["draw x"]
        resumed = {"resumed_after": done} if done else {}
        for i in range(done, STEPS):
            x = chain(method.seed, name, i, x)
            checkpoint.write(path, facts, checkpoint.Checkpoint(i + 1, 0.0, [], {"draw x": x}))
        tree = xr.DataTree.from_dict(groups_of(x))
        fits[name] = Fit(tree, Status(), {"seed": method.seed, **resumed}, path)
    return fits


def groups_of(x):
    """What every fit holds, of so many draws."""
    draws = lambda name, values: xr.Dataset({name: (("chain", "draw"), values[None])})
    of_draws = {name: draws("x", x) for name in ("posterior", "log_likelihood", "log_prior", "prior")}
    stats = draws("diverging", np.zeros(len(x), bool))
    return {**of_draws, "sample_stats": stats, "observed_data": xr.Dataset(), "constant_data": xr.Dataset()}


def page(study, fits, **_):
    """In place of `report_files`: a page with the numbers of all fits."""
    numbers = {name: fit.tree["posterior"]["x"].to_numpy().tolist() for name, fit in fits.items()}
    text = json.dumps(numbers).encode()
    return {"report.html": text, "report.json": text, "figures/choices.svg": text}


def study_like():
    decisions = SimpleNamespace(data_hash="0" * 64, play=None, snapped=0, environments={}, table=[])
    return SimpleNamespace(name="toy", decisions=decisions)


def train(trainer, *, seed, folder, restart, **_):
    """In place of `train`."""
    from bayescal.files import write_atomically
    from bayescal.training.train import CHECKPOINT

    path, x = folder / CHECKPOINT, np.array([])
    if path.exists() and not restart:
        x = np.array(json.loads(path.read_bytes()))
    for i in range(len(x), STEPS):
        x = chain(seed, "train", i, x)
        write_atomically(path, json.dumps(x.tolist()).encode())
    return SimpleNamespace(policy=x, history=(), seconds_compiling=0.0)


def put_in_place() -> None:
    """Replace what is numeric in the commands."""
    import bayescal.cli.calibrate
    import bayescal.cli.checks
    import bayescal.cli.compare
    import bayescal.cli.report
    import bayescal.cli.saved
    import bayescal.cli.simulate
    import bayescal.cli.train
    import bayescal.comparison
    import bayescal.comparison.rivals
    import bayescal.diagnostics
    import bayescal.model.standard
    import bayescal.policies.store
    import bayescal.posterior.calibrate
    import bayescal.report.write
    import bayescal.results.manifest
    import bayescal.simulation
    import bayescal.study.fetch
    import bayescal.training.recipe

    # JAX must not start: the driver forks.
    bayescal.results.manifest.sys = SimpleNamespace(modules={})
    models = {name: SimpleNamespace(spec=SimpleNamespace(policy=name)) for name in MODELS}
    loaded = (study_like(), None, {"study": "toy"})
    compared = SimpleNamespace(as_dict=lambda: {"table": {}})
    bayescal.policies.store.policy_sha256 = lambda policy: "f" * 64
    bayescal.posterior.calibrate.calibrate = sample
    bayescal.model.standard.standard_models = lambda *_, **__: models
    bayescal.report.write.report_files = page
    bayescal.diagnostics.check = lambda *_, **__: SimpleNamespace(status="passed")
    calibrate = bayescal.cli.calibrate
    calibrate.use_cores = bayescal.cli.compare.use_cores = lambda n: True
    calibrate.Calibration.load = lambda self: loaded
    calibrate.as_dict = lambda fits, report, checks: {"fits": list(fits)}
    calibrate.say_masked = calibrate.say_snapped = lambda *_: None
    bayescal.cli.compare.load_asked = lambda *_, **__: loaded
    bayescal.comparison.rivals.rivals = lambda *_, **__: SimpleNamespace(models=models, left_out={})
    bayescal.comparison.compare_study = lambda study, *, seed, resume, checkpoints, **_: (
        sample(study, models=models, method=SimpleNamespace(seed=seed, resume=resume), checkpoints=checkpoints),
        compared,
    )
    bayescal.cli.saved.study_of = lambda *_, **__: (None, "")
    recipe = SimpleNamespace(
        title="toy", seed=0, trainer=SimpleNamespace(steps=STEPS), skeleton=SimpleNamespace(environment=None)
    )
    zoo = bayescal.training.recipe
    zoo.train, zoo.find_model, zoo.read_recipe = train, Path, lambda source, **_: recipe
    zoo._provenance = lambda *_: {}
    zoo.policy_files = lambda x, _: {"policy.safetensors": x.tobytes(), "policy.json": json.dumps(x.tolist()).encode()}
    zoo._measure = lambda recipe, x, *_: {"kl": float(x.sum())}
    zoo._certificate_files = lambda recipe, _, found: {
        "certificate.json": json.dumps(found).encode(), "card.md": json.dumps(found).encode()
    }  # fmt: skip
    zoo.policy_sha256 = lambda policy: "f" * 64
    bayescal.cli.train._show = lambda *_: None
    fetch = bayescal.study.fetch
    fetch.read_dataset = lambda _: SimpleNamespace(
        folder=Path("toy"), name="toy", registered=True, external="table.csv", derived="", source="",
        address="https://example.org/toy", sha256=hashlib.sha256(TABLE).hexdigest(),
    )  # fmt: skip
    fetch.find_study = lambda study: study
    fetch._fetch = lambda address, name, folder: _fetched(folder / name)
    made = lambda *_, seed, **__: pd.DataFrame({"participant": ["a"], "x": [chain(seed, "play", 0, np.array([]))[0]]})
    bayescal.simulation.simulate = made
    environment = SimpleNamespace(name="toy")
    player = bayescal.cli.simulate.Player(SimpleNamespace(environment=environment), "solved")
    bayescal.cli.simulate.find_player = lambda *_, **__: player
    bayescal.cli.simulate.registered_name = lambda game, trust: game


def _fetched(path: Path) -> Path:
    path.write_bytes(TABLE)
    return path
