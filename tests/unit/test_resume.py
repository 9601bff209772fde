"""A run that was interrupted and resumed gives the draws that it would have given, and never those of another run."""

import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

from bayescal.errors import InputError
from bayescal.posterior.fit import Fit
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS

SETTINGS = NUTS(draws=60, warmup=50, chains=2, seed=5, every=20)


class Schools:
    """Eight of them; `hidden` is data that no site shows."""

    def __init__(self, effects=(28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0), hidden=0.0, description="eight schools"):
        self.effects, self.hidden, self.description = jnp.array(effects), hidden, description
        self.hyperprior_text = {"mu": "Normal(0, 5)"}

    def __call__(self):
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = numpyro.sample("tau", dist.HalfNormal(5.0))
        with numpyro.plate("school", len(self.effects)):
            offset = numpyro.sample("offset", dist.Normal(0.0, 1.0))
            numpyro.sample("effect", dist.Normal(mu + tau * offset + self.hidden, 12.0), obs=self.effects)


def stopping(after, settings=SETTINGS, **changes):
    """The same settings, with somebody who presses Ctrl-C at that iteration."""

    def stop(done, total):
        if done >= after:
            raise KeyboardInterrupt

    return replace(settings, progress=stop, **changes)


def same(a, b):
    for name, group in a.tree.children.items():
        xr.testing.assert_identical(group.to_dataset(), b.tree[name].to_dataset())


@pytest.fixture(scope="module")
def whole():
    return infer(Schools(), SETTINGS)


@pytest.mark.parametrize("after", [20, 70])  # in warm-up, and later
def test_resumed_is_uninterrupted(whole, tmp_path, after):
    path = tmp_path / "deep" / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        infer(Schools(), stopping(after, checkpoint=path))
    assert [p.name for p in path.parent.iterdir()] == ["run.checkpoint"]
    again = infer(Schools(), replace(SETTINGS, checkpoint=path))
    same(whole, again)
    assert again.status == whole.status
    resumed = again.provenance["resumed_after"]
    assert resumed % 20 == 0 and resumed >= after // 20 * 20 and "resumed_after" not in whole.provenance
    assert path.exists()  # the draws are in no other file yet
    again.save(tmp_path / "fit.nc")
    assert not path.exists()
    same(Fit.load(tmp_path / "fit.nc"), again)


def test_draws_are_added_until_they_are_enough(whole, tmp_path):
    path = tmp_path / "run.checkpoint"
    few = replace(SETTINGS, draws=20, longest=60)  # 40 draws of two chains are never worth 400
    with pytest.raises(KeyboardInterrupt):
        infer(Schools(), stopping(95, few, checkpoint=path))  # when twenty have been added
    extended = infer(Schools(), replace(few, checkpoint=path))
    assert extended.provenance["draws"] == 60 and extended.provenance["resumed_after"] == 100
    xr.testing.assert_identical(extended.tree["posterior"].to_dataset(), whole.tree["posterior"].to_dataset())

    def simple():
        numpyro.sample("x", dist.Normal(0.0, 1.0))

    assert infer(simple, NUTS(draws=1000, warmup=200, longest=3000)).provenance["draws"] == 1000


def test_what_is_of_another_run_is_refused_by_name(tmp_path):
    path = tmp_path / "run.checkpoint"
    mine = replace(SETTINGS, checkpoint=path)
    with pytest.raises(KeyboardInterrupt):
        infer(Schools(), stopping(60, mine))

    def refused(model, settings=mine):
        with pytest.raises(InputError) as error:
            infer(model, settings)
        assert str(error.value).startswith(f"{path}: this checkpoint is of another run: ")
        return str(error.value)

    told = refused(Schools(), replace(mine, seed=6, draws=80))
    assert "seed is 5 there and 6 here" in told and "draws is 60 there and 80 here" in told and "warmup" not in told
    assert "data is " in refused(Schools(effects=(28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.1)))
    assert "shape of offset is (8,) there and (2,) here" in refused(Schools(effects=(1.0, 2.0)))
    assert "model is 'eight schools' there and two here" in refused(Schools(description="two"))
    other = Schools()
    other.hyperprior_text = {"mu": "Normal(0, 6)"}
    assert "hyperprior of mu is 'Normal(0, 5)' there" in refused(other)
    assert "the log density was" in refused(Schools(hidden=0.1))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="not a checkpoint of bayescal"):
        infer(Schools(), mine)


def test_not_resuming_overwrites(whole, tmp_path):
    path = tmp_path / "run.checkpoint"
    path.write_text("anything")
    same(whole, infer(Schools(), replace(SETTINGS, checkpoint=path, resume=False)))
    assert path.stat().st_size > 1000
    same(whole, infer(Schools(), replace(SETTINGS, checkpoint=path)))  # finished, and not yet saved: nothing is redone


@pytest.mark.slow
def test_killed_while_it_samples(whole, tmp_path):
    """SIGKILL between two checkpoints; the rest is done by another process, this one."""
    path = tmp_path / "run.checkpoint"
    program = f"""
        import os, signal, sys
        from dataclasses import replace
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_resume import SETTINGS, Schools
        from bayescal.posterior.infer import infer
        kill = lambda i, n: os.kill(os.getpid(), signal.SIGKILL) if i >= 70 else None
        infer(Schools(), replace(SETTINGS, progress=kill, checkpoint={str(path)!r}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=120)
    assert done.returncode == -signal.SIGKILL
    resumed = infer(Schools(), replace(SETTINGS, checkpoint=path))
    assert resumed.provenance["resumed_after"] >= 60
    offsets = (f.tree["posterior"]["offset"].to_numpy().tobytes() for f in (whole, resumed))
    assert next(offsets) == next(offsets)
