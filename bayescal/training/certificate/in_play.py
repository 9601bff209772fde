"""Games over time without an exact solution: the policy in games that it plays with itself."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bayescal._types import Keys
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import ABSENT
from bayescal.training.certificate.cells import Keeper, measure_cells
from bayescal.training.certificate.improvement import Settings
from bayescal.training.certificate.measures import Progress, ignore_progress, spread
from bayescal.training.certificate.verdict import LIMIT, overall
from bayescal.training.replies import Rule
from bayescal.training.rollouts import Valued
from bayescal.training.rounds import Game, Lesson, begin_games, play_round, roles_of

_ROUNDS = 50  # at most, of longer games


def certify_in_play(
    policy: Valued,
    *,
    games: int,
    seed: int,
    ensemble: Sequence[AmortisedPolicy] = (),
    settings: Settings = Settings(),  # noqa: B008 - frozen
    limit: float = LIMIT,
    rules: tuple[Rule, ...] | None = None,
    keeper: Keeper | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The measures that need no exact solution: the improvement residual and the best of several replies, by role and
    cost (`cells`), with a verdict; the Bellman residual of a network's values; the disagreement with other seeds.

    Args:
        games: in which the Bellman residual and the disagreement are measured.
        limit: the gain, in nats a decision, that is allowed.
        rules: rules of thumb to play against the policy; those of the game's library when None.
        keeper: where measured cells are kept, to go on from after an interruption.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.training.certificate import Settings, certify_in_play
        >>> market = bc.RepeatedCournot(2, quantities=range(0, 61, 20), rounds=3)
        >>> policy = bc.AmortisedPolicy(market, {"cost": (10.0, 1000.0)}, width=8, depth=1)  # not trained
        >>> few = Settings(games=64, costs=2, chosen_by=8, blocks=4)
        >>> certify_in_play(policy, games=4, seed=0, settings=few)["verdict"]
        'fail'
    """
    cells = measure_cells(
        policy, settings=settings, seed=seed, rules=rules, keeper=keeper, progress=progress or ignore_progress
    )
    verdicts = [cell.verdict(len(cells), limit) for cell in cells]
    learned = isinstance(policy, AmortisedPolicy)
    return {
        "oracle": None,
        "games": [f"{type(policy.environment).__name__}, {policy.environment.players} players"],
        "points": games,
        **(values_in_play(policy, games, seed, ensemble) if learned else {}),
        "verdict": overall(verdicts).value,
        "limit": limit,
        "cells": [{**c.as_dict(), "verdict": v.value} for c, v in zip(cells, verdicts, strict=True)],
    }


def values_in_play(
    policy: AmortisedPolicy, games: int, seed: int, ensemble: Sequence[AmortisedPolicy] = (), noises: int = 256
) -> dict[str, Any]:
    """The Bellman residual of the policy's values, averaged over `noises` draws of chance and of the others' actions,
    and the disagreement with policies of other seeds."""
    begin, go = jax.random.split(jax.random.key(seed))
    started = begin_games(policy, begin, games)
    (residual, disagreement), over = _play_each(policy, ensemble, noises, started, jax.random.split(go, games))
    live = ~np.asarray(over)
    out = {"bellman_residual": spread(np.asarray(residual)[live].ravel())}
    if ensemble:
        out["ensemble_disagreement_kl"] = spread(np.asarray(disagreement)[live].ravel())
    return out


@eqx.filter_jit
def _play_each(
    policy: AmortisedPolicy,
    ensemble: Sequence[AmortisedPolicy],
    noises: int,
    games: Game,
    keys: Keys,
) -> PyTree:
    """((residual, disagreement), whether the game was over) in every round of every game."""

    def go(carry: tuple[Game, Array], key: PRNGKeyArray) -> tuple[tuple[Game, Array], PyTree]:
        game, over = carry
        after, done, found = play_and_measure(policy, ensemble, noises, game, key)
        return (after, over | done), (found, over)

    def play(game: Game, key: PRNGKeyArray) -> PyTree:
        rounds = jax.random.split(key, min(policy.environment.horizon, _ROUNDS))
        return jax.lax.scan(go, (game, jnp.asarray(False)), rounds)[1]

    return jax.vmap(play)(games, keys)


def play_and_measure(
    policy: AmortisedPolicy, ensemble: Sequence[AmortisedPolicy], noises: int, game: Game, key: PRNGKeyArray
) -> tuple[Game, Array, tuple[Float[Array, " roles"], Float[Array, " roles"]]]:
    """(the game after one round, whether it is over, Bellman residual and disagreement of the first player of each
    role; the players of a role are identical)."""
    roles = roles_of(policy)
    firsts = tuple(roles.index(r) for r in sorted(set(roles)))
    on, chance = jax.random.split(key)
    play = partial(play_round, policy, policy, firsts)
    after, done, _ = play(on, game)
    draws = jax.vmap(lambda k: play(k, game)[2])(jax.random.split(chance, noises))
    found = [
        _of_role(policy, ensemble, role, jax.tree.map(lambda x: x[0], lesson), lesson.target, game)
        for role, lesson in enumerate(draws)
    ]
    residual, disagreement = (jnp.stack(x) for x in zip(*found, strict=True))
    return after, done, (residual, disagreement)


def _of_role(
    policy: AmortisedPolicy,
    ensemble: Sequence[AmortisedPolicy],
    role: int,
    lesson: Lesson,
    targets: Float[Array, "noises actions"],
    game: Game,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(Bellman residual, largest disagreement with another seed) of one player at a decision."""
    params = game.point.params
    values = lambda p: p.values_at(role, lesson.inputs, lesson.known, params)
    target, q = jnp.mean(targets, axis=0), values(policy)
    mask = jnp.asarray(policy.environment.mask[role])
    scale = policy.environment.stake_scale(params, role)
    residual = jnp.sqrt(jnp.sum(jnp.where(mask, (q - target) ** 2, 0.0)) / jnp.sum(mask)) / scale
    choices = lambda q: jax.nn.log_softmax(jnp.where(mask, q / lesson.cost, ABSENT))
    own = choices(q)
    gaps = [jnp.sum(jnp.where(mask, jnp.exp(own) * (own - choices(values(e))), 0.0)) for e in ensemble]
    return residual, jnp.max(jnp.stack(gaps)) if gaps else jnp.zeros(())
