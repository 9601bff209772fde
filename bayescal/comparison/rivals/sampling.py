"""What the rivals share in which people know others' play from a small sample."""

from numpyro import distributions as dist

from bayescal.comparison.rivals.base import LAPSES, Field, NotApplicable, lapse_hyperprior
from bayescal.comparison.rivals.stationary import equilibrium_model, games_with_others
from bayescal.model.model import Model
from bayescal.policies.sampling import SamplingPolicy

_FEWEST = 3  # draws: where larger samples cannot be computed, an inferred size says little


def build_sampling(field: Field, policy: type[SamplingPolicy], name: str, choice: str) -> Model:
    """
    Args:
        name: of the equilibrium.
        choice: what everybody takes, up to the words "whose size …" of the sample.
    """
    games = games_with_others(field)
    largest = min(policy.most_draws(game) for game in games)
    if largest < _FEWEST:
        raise NotApplicable(f"{games[0].name} has too many outcomes for samples of {_FEWEST} or more to be listed")
    return equilibrium_model(
        field,
        lambda: policy(games[0], None, largest),
        {"sample_size": dist.Uniform(1.0, float(largest))} | lapse_hyperprior(),
        f"{name} equilibrium: everybody takes {choice}, whose size from 1 to {largest} "
        f"is inferred (a fraction is the share of people with one draw more){LAPSES}",
    )
