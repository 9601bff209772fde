"""Selten & Chmura's twelve 2x2 games: one cost for all, or one for each game?

Logit quantal response with the hyperpriors of the reference fit in ../shared/golden/selten_chmura_posteriors.json:
log precision ~ Normal(-1.52, 1.41²), pooled, or as the mean of a hierarchy by game with sd ~ HalfNormal(1).
Precision is 1/cost, so log cost has the mean +1.52. Run it with `python models/selten-chmura/experiment.py`, or, with
progress and a report, with `bayescal calibrate selten-chmura`.
"""

import bayescal as bc


def experiment(draws: int = 1000, warmup: int = 600, chains: int = 4, seed: int = 0) -> dict[str, bc.Fit]:
    """The posterior of the pooled and of the hierarchical model."""
    study = bc.load_study("selten-chmura")  # its dataset.toml holds the hyperpriors
    policy = bc.ExactPolicy(bc.get_game("selten-chmura-01"))  # build_model puts each game in its place
    settings = bc.NUTS(draws=draws, warmup=warmup, chains=chains, seed=seed)
    fits = {}
    for name, by, sites in (
        ("pooled", None, ("log_cost",)),
        ("by game", "game", ("log_cost_mean", "log_cost_sd")),
    ):
        hyperpriors = {site: study.hyperpriors[site] for site in sites}
        model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions, by=by, hyperpriors=hyperpriors)
        fits[name] = bc.infer(model, settings)
    return fits


if __name__ == "__main__":
    bc.use_cores(4)
    for name, fit in experiment().items():
        print(f"{name}: {fit.status}")  # noqa: T201
        print(fit.summary(["precision"]))  # noqa: T201
