"""200 people x 25 rounds of three-firm Cournot, learned policy: the plain joint model as one writes it by hand in
NumPyro, against costs integrated out, and that on compressed evidence. Same sampler, same run; compilation is apart.

    python tests/benchmarks/bench_people.py [PEOPLE [ROUNDS]]
"""

import sys
from time import perf_counter

import arviz_stats as azs
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd

import bayescal as bc
from bayescal.policies.base import tilt

PHI = ["log_mean", "log_sd"]


def simulated(policy, people: int, rounds: int, seed: int = 0) -> bc.Decisions:
    market = bc.Cournot(3, np.linspace(0, 60, 31))
    rng = np.random.default_rng(seed)
    log_cost = rng.normal(4.5, 0.6, people)
    own = policy.play(market, policy.population)
    with jax.enable_x64(True):
        values = own.values(None, {"log_mean": 4.5, "log_sd": 0.6}, None, market.params)[0]
        probs = np.exp(jax.vmap(lambda c: tilt(own.log_prior(None)[0], values, c))(jnp.exp(log_cost)))
    actions = [rng.choice(31, rounds, p=p / p.sum()) for p in np.asarray(probs)]
    person = np.repeat(np.arange(people), rounds)
    table = pd.DataFrame({"participant": person, "round": np.tile(np.arange(rounds), people)})
    return bc.Decisions.from_table(table.assign(action=2.0 * np.concatenate(actions)), {"cournot": market})


def by_hand(policy, decisions: bc.Decisions, hyperpriors):
    """Everybody's cost is a site, not centred; every decision is looked up in its person's probabilities."""
    market = next(iter(decisions.environments.values()))
    own = policy.play(market, policy.population)
    person = jnp.asarray(decisions.table["participant"].cat.codes.to_numpy())
    chosen = jnp.asarray(decisions.table["action_index"].to_numpy())
    low, high = (float(np.log(x)) for x in (own.cost_interval.low, own.cost_interval.high))

    def model():
        mean = numpyro.sample("log_mean", hyperpriors["log_mean"])
        sd = numpyro.sample("log_sd", hyperpriors["log_sd"])
        with numpyro.plate("participant", len(decisions.levels("participant"))):
            offset = numpyro.sample("offset", dist.Normal())
            log_cost = numpyro.deterministic("log_cost", jnp.clip(mean + sd * offset, low, high))
        values = own.values(None, {"log_mean": mean, "log_sd": sd}, None, market.params)[0]
        log_probs = jax.vmap(lambda c: tilt(own.log_prior(None)[0], values, c))(jnp.exp(log_cost))
        with numpyro.plate("decision", len(chosen)):
            numpyro.sample("action", dist.Categorical(logits=log_probs[person]), obs=chosen)

    return model


def main(people: int, rounds: int) -> None:
    bc.use_cores(2)
    policy = bc.load_model("cournot")
    decisions = simulated(policy, people, rounds)
    settings = bc.NUTS(draws=1000, warmup=600, chains=4, seed=1)
    build = lambda method: bc.build_model(policy, policy.population, decisions, method=method)
    hyperpriors = build("marginal").hyperpriors
    reference = None
    for name in ("by hand", "joint", "marginal", "compressed"):
        started = perf_counter()
        model = by_hand(policy, decisions, hyperpriors) if name == "by hand" else build(name)
        built = perf_counter() - started
        fit = bc.infer(model, settings)
        whole = perf_counter() - started
        posterior = fit.tree["posterior"].to_dataset()
        sampling = fit.provenance["seconds_sampling"]
        if getattr(model, "complete", None) is not None:  # costs are drawn afterwards, which is part of sampling
            with jax.enable_x64(True):
                started = perf_counter()
                model.complete({n: posterior[n].to_numpy() for n in PHI}, np.random.default_rng(0))
                sampling += perf_counter() - started
        ess = azs.ess(posterior[[*PHI, "log_cost"]], method="bulk")
        least = min(float(ess[n].min()) for n in (*PHI, "log_cost"))
        steps = float(fit.tree["sample_stats"]["n_steps"].mean())
        table = fit.summary(PHI)
        if reference is None:
            reference = least / sampling
        print(
            f"{name:10} built {built:5.1f} s, sampled {sampling:6.2f} s ({steps:.1f} steps), whole run {whole:5.1f} s; "
            f"least bulk ESS {least:5.0f}, {least / sampling:7.1f}/s, {least / sampling / reference:5.1f} times; "
            + ", ".join(
                f"{n} {r['mean']:.4f} ± {r['mcse_mean']:.4f} sd {r['sd']:.4f} ± {r['mcse_sd']:.4f}"
                for n, r in table.iterrows()
            )
        )


if __name__ == "__main__":
    main(*(int(x) for x in [*sys.argv[1:], *(200, 25)[len(sys.argv) - 1 :]]))
