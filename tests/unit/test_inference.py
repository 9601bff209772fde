"""Models, draws and fits: the likelihood, the bridge to ArviZ, saving, and bad requests."""

import arviz_stats as azs
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import scipy.stats as st
import xarray as xr
from firms import density

from bayescal.environments.named import get_game
from bayescal.environments.symmetric import request_game
from bayescal.errors import InputError
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import sites_of
from bayescal.likelihood.choices import Choices
from bayescal.model.build import build_model
from bayescal.policies.exact import ExactPolicy, equilibrium
from bayescal.populations import Homogeneous, LogNormal
from bayescal.posterior.fit import Fit
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS, compile_nuts
from bayescal.posterior.status import Problem, status_of_draws
from bayescal.priors import Empirical, LogLinear
from bayescal.table.decisions import Decisions


def study(cost: float = 0.8, seed: int = 0, games=("selten-chmura-01", "stag-hunt", "request-11-20")) -> Decisions:
    """Simulated decisions of games of three shapes."""
    rng = np.random.default_rng(seed)
    environments = {n: get_game(n) for n in games}
    rows = []
    for name, env in environments.items():
        p = np.asarray(equilibrium(env, cost).strategies, float)
        for r, role in enumerate(env.role_names):
            n = len(env.action_labels[r])
            counts = rng.multinomial(200, p[r, :n] / p[r, :n].sum())
            rows += [(name, role, a, k) for a, k in zip(env.action_labels[r], counts, strict=True)]
    return Decisions.from_table(pd.DataFrame(rows, columns=["game", "role", "action", "n"]), environments)


@pytest.fixture(scope="module")
def decisions():
    return study()


@pytest.fixture(scope="module")
def policy():
    return ExactPolicy(get_game("stag-hunt"))


@pytest.fixture(scope="module")
def alike():
    """Of two games of one shape, which one program solves."""
    return study(games=("selten-chmura-01", "stag-hunt"))


@pytest.fixture(scope="module")
def fit(alike, policy):
    model = build_model(policy, Homogeneous(), alike, by="game", centred=False)
    return infer(model, NUTS(draws=100, warmup=200, chains=2, seed=1))


def test_choices_is_a_multinomial_and_ignores_padding():
    probs = np.array([[0.2, 0.3, 0.5], [0.4, 0.6, 0.0]])
    counts = jnp.array([[2, 3, 5], [4, 6, 0]])
    with np.errstate(divide="ignore"):
        mine = Choices(jnp.log(probs), jnp.array([10, 10]))
    log_p = np.asarray(jax.jit(mine.log_prob)(counts))
    np.testing.assert_allclose(log_p[0], st.multinomial(10, probs[0]).logpmf([2, 3, 5]), rtol=1e-5)
    assert np.isfinite(log_p).all()
    at = np.asarray(mine.log_probs)
    slope = jax.jit(jax.grad(lambda x: Choices(jnp.where(probs > 0, at + x, -jnp.inf), 10).log_prob(counts).sum()))
    assert np.isfinite(slope(0.0))
    draws = mine.draw(np.random.default_rng(0))
    assert draws.sum(axis=1).tolist() == [10, 10] and draws[1, 2] == 0
    assert np.asarray(mine.sample(jax.random.key(0))).sum(axis=1).tolist() == [10, 10]


def test_the_likelihood_is_that_of_each_game_solved_alone(decisions, policy):
    model = build_model(policy, Homogeneous(), decisions, by="game")
    values = {"log_cost_mean": 0.1, "log_cost_sd": 0.5, "log_cost_offset": np.array([0.3, -1.0, 0.7])}
    with jax.enable_x64(True):
        log_lik = density(model)(values)
        by_hand = sum(dist.Normal(0.0, 1.0).log_prob(jnp.asarray(values["log_cost_offset"])))
        by_hand += model.hyperpriors["log_cost_mean"].log_prob(0.1) + dist.HalfNormal(1.0).log_prob(0.5)
        for cell in range(len(decisions.cells)):
            game, role = decisions.cells["game"][cell], decisions.cells["role_index"][cell]
            cost = np.exp(0.1 + 0.5 * values["log_cost_offset"][decisions.cells["game_index"][cell]])
            p = equilibrium(decisions.environments[game], cost).log_strategies[role]
            counts = decisions.counts[cell, : len(p)]
            by_hand += Choices(p, jnp.asarray(counts.sum())).log_prob(jnp.asarray(counts))
    np.testing.assert_allclose(log_lik, by_hand, rtol=1e-9)


def test_centred_and_not_are_one_density(alike, policy):
    """The offsets' density is that of the costs, times sd to the number of games; 500 decisions a game choose."""
    mean, sd, costs = 0.1, 0.5, np.array([0.3, -1.0])
    hyper = {"log_cost_mean": mean, "log_cost_sd": sd}
    built = lambda centred: build_model(policy, Homogeneous(), alike, by="game", centred=centred)
    with jax.enable_x64(True):
        offsets = density(built(False))(hyper | {"log_cost_offset": (costs - mean) / sd})
        centred = density(built(True))(hyper | {"log_cost": costs})
        np.testing.assert_allclose(offsets, centred + 2 * np.log(sd), rtol=1e-10)
        sites = sites_of(build_model(policy, Homogeneous(), alike, by="game"))
    assert "log_cost_offset" in sites and sites["log_cost"].kind == "deterministic"  # 200 decisions are few


def test_every_group_is_there_and_named(fit, alike):
    assert set(fit.tree.children) == {
        "posterior", "sample_stats", "log_likelihood", "log_prior", "prior", "prior_predictive",
        "posterior_predictive", "observed_data", "constant_data",
    }  # fmt: skip
    posterior = fit.tree["posterior"]
    assert posterior["cost"].dims == ("chain", "draw", "game")
    assert posterior["game"].to_numpy().tolist() == list(alike.game_names)
    assert fit.tree["log_likelihood"]["choices"].dims == ("chain", "draw", "cell")
    assert fit.tree["posterior_predictive"]["choices"].dims == ("chain", "draw", "cell", "action")
    assert set(fit.tree["log_prior"].data_vars) == {"log_cost_mean", "log_cost_sd", "log_cost_offset"}
    assert fit.tree["prior"]["cost"].dims == ("chain", "draw", "game")
    np.testing.assert_array_equal(fit.tree["observed_data"]["choices"], alike.counts)
    predicted = fit.tree["posterior_predictive"]["choices"].sum("action")
    assert (predicted == fit.tree["constant_data"]["total"]).all()
    costs = np.exp(posterior["log_cost_mean"] + posterior["log_cost_sd"] * posterior["log_cost_offset"])
    np.testing.assert_allclose(posterior["cost"], costs)


def test_the_log_groups_are_the_density_that_was_sampled(fit):
    total = sum(
        v.sum([d for d in v.dims if d not in ("chain", "draw")]) for v in fit.tree["log_prior"].data_vars.values()
    )
    total = total + fit.tree["log_likelihood"]["choices"].sum("cell")
    # The sampler's density is on the unconstrained scale: log_cost_sd adds its Jacobian.
    unconstrained = total + np.log(fit.tree["posterior"]["log_cost_sd"])
    np.testing.assert_allclose(unconstrained, fit.tree["sample_stats"]["lp"], rtol=1e-8)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # two hundred draws, on purpose
def test_arviz_reads_it(fit):
    loo = azs.loo(fit.tree)
    assert np.isfinite(loo.elpd) and loo.n_data_points == 4
    sensitivity = azs.psense_summary(fit.tree, var_names=["log_cost_mean"])
    assert np.isfinite(sensitivity["prior"]).all()
    assert {"mean", "sd", "ess_bulk", "r_hat"} <= set(fit.summary().columns)


def test_saved_and_read_back_equal(fit, tmp_path):
    path = fit.save(tmp_path / "new" / "fit.nc")
    assert [p.name for p in path.parent.iterdir()] == ["fit.nc"]
    back = Fit.load(path)
    assert back.status == fit.status and back.provenance == fit.provenance
    for name, group in fit.tree.children.items():
        xr.testing.assert_identical(group.to_dataset(), back.tree[name].to_dataset())


def test_bad_paths(fit, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Fit.load(tmp_path / "nothing.nc")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        fit.save(tmp_path / "file" / "fit.nc")


def test_the_status_names_what_is_wrong(fit):
    """Broken copies of a fit: chains that disagree, divergences, an equilibrium that was not solved."""

    def broken(group, name, change):
        tree = fit.tree.copy(deep=True)
        tree["sample_stats"]["diverging"][:] = False  # of so short a run an iteration may
        values = tree[group].to_dataset()
        values[name] = change(values[name])
        tree[group] = xr.DataTree(values)
        return status_of_draws(tree)

    apart = broken("posterior", "log_cost_mean", lambda x: x + 10 * x["chain"])
    assert Problem.R_HAT in apart.problems and apart.numbers["r_hat"] > 1.5 and not apart.converged
    assert str(apart).startswith("not to be trusted: chains disagree")
    diverged = broken("sample_stats", "diverging", lambda x: x | True)
    assert diverged.problems[0] is Problem.DIVERGENCES and "200 divergences" in str(diverged)
    unsolved = broken("log_likelihood", "choices", lambda x: x.where(x["draw"] > 3))
    assert Problem.UNSOLVED in unsolved.problems and unsolved.numbers["unsolved"] == 2 * 4 * 4


def test_private_population_and_prior_parameters_have_their_sites(decisions):
    policy = ExactPolicy(get_game("stag-hunt"), LogLinear())
    sites = sites_of(build_model(policy, LogNormal(), decisions, prior_parameters=True))
    assert {n for n, s in sites.items() if s.kind == "latent"} == {"log_mean", "log_sd", "psi_tilt"}


def test_people_with_private_costs_are_mixed_over_types():
    rows = [(f"p{i}", r, a) for i in range(6) for r, a in enumerate(("11", "19", "20"))]
    table = pd.DataFrame(rows, columns=["participant", "round", "action"])
    decisions = Decisions.from_table(table, {"request": request_game()})
    model = build_model(ExactPolicy(request_game()), LogNormal(), decisions)
    phi = {"log_mean": 0.5, "log_sd": 0.8}
    with jax.enable_x64(True):
        log_lik = density(model)(phi)
        solved = ExactPolicy(request_game(), population=LogNormal()).solve(phi=phi)
        by_type = solved.strategies_by_type[0]
        person = jnp.sum(solved.type_weights * by_type[:, 0] * by_type[:, 8] * by_type[:, 9]) * 6
        prior = model.hyperpriors["log_mean"].log_prob(0.5) + model.hyperpriors["log_sd"].log_prob(0.8)
        np.testing.assert_allclose(log_lik, 6 * jnp.log(person) + prior, rtol=1e-6)  # two quadratures


def test_bad_requests(decisions, policy):
    with pytest.raises(InputError, match="no column 'group'"):
        build_model(policy, Homogeneous(), decisions, by="group")
    with pytest.raises(InputError, match="cannot be inferred together"):
        build_model(policy, Homogeneous(), decisions, payoff_scale=True)
    with pytest.raises(InputError, match="cannot be inferred together"):
        build_model(policy, Homogeneous(), decisions, hyperpriors={"payoff_scale": 1.0})
    with pytest.raises(InputError, match="'log_costs'"):
        build_model(policy, Homogeneous(), decisions, hyperpriors={"log_costs": 1.0})
    with pytest.raises(InputError, match="Leave out one"):
        build_model(policy, LogNormal(), decisions, by="game")
    with pytest.raises(InputError, match="has no parameters"):
        build_model(policy, Homogeneous(), decisions, prior_parameters=True)
    with pytest.raises(InputError, match="draws is 0"):
        NUTS(draws=0)


def test_a_prior_that_rules_out_what_people_did_is_refused():
    decisions = study(games=("stag-hunt",))
    never = Empirical([[0.0, 1.0], [0.5, 0.5]])
    with pytest.raises(InputError, match=r"role row, action stag \(chosen") as error:
        build_model(ExactPolicy(get_game("stag-hunt"), never), Homogeneous(), decisions)
    assert "column" not in str(error.value)


class Heights:
    """theta_i ~ Normal(mu, tau²), seen with noise of sd 1; `Integrated` has no theta and draws it afterwards."""

    seen = np.array([-1.2, 0.3, 0.8, 2.9, 1.4, 0.1, -0.4, 2.2])

    def __init__(self):
        self.coords = {"person": [f"p{i}" for i in range(8)]}

    def shared(self):
        mu = numpyro.sample("mu", dist.Normal(0.0, 2.0))
        return mu, numpyro.sample("tau", dist.HalfNormal(2.0))

    def __call__(self):
        mu, tau = self.shared()
        with numpyro.plate("person", 8):
            theta = numpyro.sample("theta", dist.Normal(mu, tau))
            numpyro.sample("seen", dist.Normal(theta, 1.0), obs=self.seen)


class Integrated(Heights):
    evaluated = Heights()

    def __call__(self):
        mu, tau = self.shared()
        numpyro.factor("marginal", dist.Normal(mu, jnp.sqrt(1 + tau**2)).log_prob(self.seen).sum())

    def complete(self, values, rng):
        mu, tau = values["mu"][..., None], values["tau"][..., None]
        keep = tau**2 / (1 + tau**2)
        theta = mu + keep * (self.seen - mu) + np.sqrt(keep) * rng.standard_normal((*values["mu"].shape, 8))
        log_lik = np.asarray(dist.Normal(mu, np.sqrt(1 + tau**2)).log_prob(self.seen))
        return {**values, "theta": theta}, {"person": log_lik}


def test_what_was_integrated_out_is_drawn_afterwards():
    """The joint model and its marginal have one posterior, and the marginal's fit has every group of the joint's."""
    method = NUTS(draws=2000, warmup=500, chains=2, seed=3)
    joint, marginal = infer(Heights(), method), infer(Integrated(), method)
    assert set(joint.tree.children) == set(marginal.tree.children)
    assert set(marginal.tree["log_prior"].data_vars) == {"mu", "tau"}
    assert marginal.tree["log_likelihood"]["by_person"].dims == ("chain", "draw", "person")
    assert marginal.tree["posterior"]["person"].to_numpy().tolist() == Heights().coords["person"]
    for group in ("log_likelihood", "posterior_predictive", "prior_predictive", "observed_data"):
        assert "seen" in marginal.tree[group]
    a, b = joint.summary(), marginal.summary()
    assert list(a.index) == list(b.index) and "theta[p3]" in a.index
    error = 4 * np.hypot(a["sd"] / np.sqrt(a["ess_bulk"]), b["sd"] / np.sqrt(b["ess_bulk"]))
    assert (abs(a["mean"] - b["mean"]) < error).all()
    sd_error = 4 * a["sd"] * np.sqrt(1 / a["ess_bulk"] + 1 / b["ess_bulk"])  # heavier tails than a normal's
    assert (abs(a["sd"] - b["sd"]) < sd_error).all()


def test_draws_do_not_depend_on_the_chunks(monkeypatch):
    draws, seen = [], []
    with jax.enable_x64(True):
        density = Density.of(Heights())
        for chunk in (100, 30):
            monkeypatch.setattr("bayescal.posterior.nuts.CHUNK", chunk)
            settings = NUTS(draws=60, warmup=70, chains=2, progress=lambda i, n: seen.append((i, n)))
            run = compile_nuts(density, settings)
            start = {"mu": np.zeros(()), "tau": np.ones(()), "theta": np.zeros(8)}
            draws.append(run(np.random.default_rng(4), start).values["theta"])
    np.testing.assert_array_equal(*draws)
    done = [i for i, _ in seen]
    assert {n for _, n in seen} == {130} and done.count(130) == 2  # each run ends there
    assert max(np.diff([0, *done[done.index(130) + 1 :]])) <= 30


def test_data_that_a_model_works_out_itself():
    def model():
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("log_y", dist.Normal(mu, 1.0), obs=jnp.log(jnp.array([1.0, 2.0])))
        numpyro.factor("penalty", -(mu**2))

    sites = sites_of(model)
    np.testing.assert_allclose(sites["log_y"].value, np.log([1.0, 2.0]), rtol=1e-6)
    assert sites["penalty"].kind == "factor"


@pytest.mark.parametrize("seed", [0, 1])
def test_all_chains_are_on_the_highest_hill(seed):
    """A lesser one is where the hyperprior has its middle."""

    def model():
        x = numpyro.sample("x", dist.Normal(0.0, 2.0))
        low, high = -0.5 * ((x - 0.3) / 0.05) ** 2, 20.0 - 0.5 * ((x - 3.0) / 0.2) ** 2
        numpyro.factor("hills", jnp.logaddexp(low, high))

    fit = infer(model, NUTS(draws=200, warmup=150, seed=seed))
    means = fit.tree["posterior"]["x"].mean("draw").to_numpy()
    # 200 draws are worth 50 at least, so that a mean is off by 0.2 / 7 a time or two.
    np.testing.assert_allclose(means, 3.0 - 0.03, atol=4 * 0.2 / np.sqrt(50))
