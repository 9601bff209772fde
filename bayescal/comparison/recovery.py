"""Model recovery: would the comparison find the true model, with as many people and decisions as there are?

Decisions of the same design are simulated from each model in turn, and all models are fitted to each set of them and
compared. All fits of a model share one compiled sampler, in which the decisions are an argument.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, Num
from numpyro import handlers

from bayescal._types import Key, Keys
from bayescal.comparison.loo import psis
from bayescal.comparison.pointwise import Pointwise
from bayescal.diagnostics.replicates import with_data
from bayescal.errors import InputError
from bayescal.evaluation.compile import random_keys
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import trace_of
from bayescal.model.model import Model
from bayescal.posterior.kernel import Kernel
from bayescal.posterior.many import Many, highest_of_draws
from bayescal.precision import double_precision

Progress = Callable[[str, int, int], None]  # (fitted model, sets of decisions done, in all)

APART = 4.0  # two models can be told apart if their expected difference exceeds so many standard errors

_AT_ONCE = 5  # sets of decisions between two reports of progress, on each device


@dataclass(frozen=True, eq=False)
class Confusion:
    """The outcome of all comparisons; rows are the true model, columns the fitted one.

    Attributes:
        best: share of the true model's sets of decisions in which the fitted model was the best.
        ahead: by how many nats the true model was ahead of the fitted one, on average.
        error: standard error of that difference in one comparison, on average.
        found: share of the sets in which the true model was ahead of the fitted one.
        replicates: sets of decisions simulated from each model.
    """

    best: pd.DataFrame
    ahead: pd.DataFrame
    error: pd.DataFrame
    found: pd.DataFrame
    replicates: int

    @property
    def apart(self) -> pd.DataFrame:
        """Which pairs can be told apart: the expected difference is more than four standard errors."""
        return self.ahead > APART * self.error

    @property
    def verdict(self) -> str:
        pairs = self.found.where(self.apart).stack().dropna()
        if not len(pairs):
            return "No two of these models can be told apart with so many people and decisions."
        worst = pairs.idxmin()
        return (
            f"Of {len(pairs)} pairs that can be told apart, the true model is ahead in {pairs.mean():.0%} of "
            f"{self.replicates} comparisons each, and in at least {pairs.min():.0%} ({worst[0]}, beside {worst[1]})."
        )

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.best.to_string(float_format='{:.2f}'.format)}"

    __repr__ = __str__


def recover_models(
    models: Mapping[str, Model],
    *,
    truths: Mapping[str, Mapping[str, float]] | None = None,
    replicates: int = 50,
    draws: int = 300,
    warmup: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> Confusion:
    """Simulate decisions from every model, and compare all models on each set of them.

    Args:
        models: of one-shot games with named people, on the same decisions, which give the design.
        truths: by model, values of its sites at which to simulate; the other sites are drawn from their hyperpriors for
            each set of decisions.
        replicates: sets of decisions from each model.
        draws, warmup: of NUTS, one chain for each fit.
        progress: called with (fitted model, sets of decisions done, sets in all) now and then.
    """
    _check(models)
    rng = np.random.default_rng(seed)
    with double_precision():
        made = [_simulated(m, (truths or {}).get(n, {}), random_keys(rng, replicates)) for n, m in models.items()]
        data = np.concatenate(made)
        elpd = np.stack([_fit_all(n, m, data, draws, warmup, rng, progress) for n, m in models.items()])
    elpd = elpd.reshape(len(models), len(models), replicates, -1)  # (fitted, true, replicate, participant)
    return _confusion(list(models), elpd)


def _confusion(names: list[str], elpd: Float[np.ndarray, "models models replicates people"]) -> Confusion:
    total = elpd.sum(axis=-1)
    k, replicates, people = len(names), total.shape[2], elpd.shape[-1]
    best = np.stack([np.bincount(total[:, t].argmax(axis=0), minlength=k) / replicates for t in range(k)])
    ahead, error, found = np.zeros((k, k)), np.zeros((k, k)), np.zeros((k, k))
    for t in range(k):
        difference = elpd[t, t] - elpd[:, t]  # (fitted, replicate, participant)
        ahead[t] = difference.sum(axis=-1).mean(axis=1)
        error[t] = (np.sqrt(people) * difference.std(axis=-1, ddof=1)).mean(axis=1)
        found[t] = (difference.sum(axis=-1) > 0).mean(axis=1)
    np.fill_diagonal(error, np.inf)  # a model is never told apart from itself
    frame = lambda x: pd.DataFrame(x, index=pd.Index(names, name="true"), columns=pd.Index(names, name="fitted"))
    return Confusion(frame(best), frame(ahead), frame(error), frame(found), replicates)


def _simulated(model: Model, truth: Mapping[str, float], keys: Keys) -> Num[np.ndarray, "replicates rows actions"]:
    whole = handlers.uncondition(model.evaluated or model)

    def one(key: Key) -> Num[Array, "rows actions"]:
        given = handlers.substitute(whole, data={n: jnp.asarray(x, float) for n, x in truth.items()})
        return handlers.trace(handlers.seed(given, key)).get_trace()["choices"]["value"]

    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys))(keys))


def _fit_all(
    name: str,
    model: Model,
    data: Num[np.ndarray, "sets rows actions"],
    draws: int,
    warmup: int,
    rng: np.random.Generator,
    progress: Progress | None,
) -> Float[np.ndarray, "sets people"]:
    """elpd of every person in each set of decisions."""
    unfitted = Density.of(model)
    model_of = with_data(model)

    def one(given: tuple[Key, Num[Array, "rows actions"]]) -> Float[Array, "draws people"]:
        key, counts = given
        density = replace(unfitted, model=model_of({"choices": counts}))
        start_key, key = jax.random.split(key)
        prior_draw = lambda k: unfitted.unconstrain({n: s["value"] for n, s in trace_of(model, k).items()})
        start = highest_of_draws(prior_draw, density.log_prob, start_key)
        kernel = Kernel(density.potential, warmup, dense=True)
        sampled, _ = kernel.walk(kernel.init(key, start), draws)
        return jax.lax.map(lambda raw: density.parts(raw).likelihood["decisions"], sampled)

    run = Many(one, len(data), _AT_ONCE)
    sets = run(partial(random_keys, rng), data, None if progress is None else partial(progress, name))
    return np.stack([_left_out(values) for values in sets])


def _left_out(values: Float[np.ndarray, "draws people"]) -> Float[np.ndarray, " people"]:
    """Multinomial coefficients are kept: they are the same in every model of one set of decisions."""
    people = values.shape[1]
    one = np.ones(people, int)
    return psis(Pointwise(tuple(map(str, range(people))), one, values, np.zeros(people), 0.5, one)).elpd


def _check(models: Mapping[str, Model]) -> None:
    if len(models) < 2:
        raise InputError("recover_models: give at least two models.")
    rows = {n: list(map(str, m.coords.get("cell", ()))) for n, m in models.items()}
    first, *others = rows
    apart = [n for n in others if rows[n] != rows[first]]
    apart += [n for n, m in models.items() if m.integrated is None]
    if apart or not rows[first]:
        raise InputError(
            f"recover_models: {', '.join(apart) or first}: give models of one-shot games, of the same decisions by "
            'people who are named, whose costs are integrated out (method="marginal").'
        )
