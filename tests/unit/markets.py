"""Games of markets played at random, as tables and as what was seen, for tests of `replay`."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd


def played(environment, games=3, seed=0, actions=None):
    """(a table of play with its recorded columns, what `observe` gave in each of its rows)."""
    env, params = environment, jax.tree.map(jnp.asarray, environment.params)

    def game(key):
        def round_(state, key):
            act, go = jax.random.split(key)
            joint = jax.random.randint(act, (env.players,), 0, len(env.action_values[0]), jnp.int32)
            seen = [env.observe(state, i) for i in range(env.players)]
            after, _, _ = env.step(go, state, joint, params)
            kept = env.record(state, joint, after, params)
            return after, (joint, jax.tree.map(lambda *x: jnp.stack(x), *seen), kept)

        first, rest = jax.random.split(key)
        return jax.lax.scan(round_, env.reset(first, params), jax.random.split(rest, env.horizon))[1]

    joint, seen, kept = jax.tree.map(np.asarray, jax.jit(jax.vmap(game))(jax.random.split(jax.random.key(seed), games)))
    g, r, p = (x.ravel() for x in np.indices(joint.shape))
    table = pd.DataFrame(
        {
            "participant": [f"{a}.{b}" for a, b in zip(g, p, strict=True)],
            "group": g.astype(str),
            "role_index": 0,
            "round": r + 1,
            "action_index": joint.ravel(),
            "value": np.asarray(env.action_values[0])[joint.ravel()],
        }
        | {name: x.reshape(-1).astype(float) for name, x in kept.items()}
    )
    return table, {name: x.reshape(len(table), *x.shape[3:]) for name, x in seen.items()}


def assert_same(replay, seen, atol=1e-4):
    """Where it is known, what was rebuilt is what was seen."""
    assert set(replay.observations) == set(seen)
    for name, x in seen.items():
        found = np.asarray(replay.observations[name])
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[replay.known], x[replay.known], atol=atol, err_msg=name)


def assert_replays(environment, checked, optional=(), seed=0):
    """The laws of `replay`: whole tables, shuffled ones, ones with gaps and of different length, optional columns that
    are missing, and single numbers of the columns `checked` that are wrong."""
    table, seen = played(environment, seed=seed)
    whole = environment.replay(table)
    assert whole.known.all()
    assert not whole.faults
    assert_same(whole, seen)

    order = np.random.default_rng(0).permutation(len(table))
    shuffled = environment.replay(table.iloc[order].reset_index(drop=True))
    assert shuffled.known.all()
    assert_same(shuffled, {n: x[order] for n, x in seen.items()})

    for name in optional:
        for without in (table.drop(columns=name), table.assign(**{name: np.nan})):
            bare = environment.replay(without)
            assert bare.known.all()
            assert_same(bare, seen)

    # Groups of different length.
    keep = np.flatnonzero((table["group"] != "1") | (table["round"] <= environment.horizon // 2))
    short = environment.replay(table.iloc[keep].reset_index(drop=True))
    assert short.known.all()
    assert_same(short, {n: x[keep] for n, x in seen.items()})

    for name in checked:
        row = len(table) // 2
        wrong = table.copy()
        wrong.loc[row, name] += 7.3
        faults = environment.replay(wrong).faults
        assert {f.row for f in faults} == {row}, name
        assert name in {f.column for f in faults}
        assert any(np.isclose(f.found, wrong.loc[row, name]) for f in faults)
    return table, seen
