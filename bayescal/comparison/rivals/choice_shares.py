"""Choice shares by situation: what is known of each role of each game, and of nobody's payoffs.

Of a person who is left out, it predicts what the others did. Of a game that is left out it knows nothing beforehand;
but the density of all of its decisions together lets the first ones predict the later ones, and with thousands of
decisions a game that is hard to beat.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import formula, sub, text
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival
from bayescal.likelihood.without_payoffs import PLACE, Leaning, Place
from bayescal.model.model import Model
from bayescal.policies.base import Parameters

MOST = 500  # numbers that are sampled in reasonable time


@dataclass(frozen=True, eq=False)
class Shares(Leaning):
    """The share of each action in each place, any shares being equally likely beforehand.

    Attributes:
        places: where people decide.
    """

    places: tuple[Place, ...]

    @property
    def types(self) -> int:
        return 1

    @property
    def sites(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """By site: (number of actions, the places that have so many)."""
        sizes = [len(p.values) for p in self.places]
        return {f"share_of_{n}": (n, tuple(k for k, size in enumerate(sizes) if size == n)) for n in sorted(set(sizes))}

    def log_shares(self, at: Parameters) -> Float[Array, " types"]:
        return jnp.zeros(1)

    def log_probs(self, at: Parameters) -> Float[Array, "places types actions"]:
        width = max(n for n, _ in self.sites.values())
        out = jnp.full((len(self.places), 1, width), -jnp.inf)
        for site, (n, members) in self.sites.items():
            out = out.at[np.array(members), 0, :n].set(jnp.log(jnp.asarray(at[site])))
        return out


def build(field: Field) -> Model:
    shares = Shares(field.places)
    if (free := sum(len(p.values) - 1 for p in shares.places)) > MOST:
        raise NotApplicable(f"there would be {free:,} free shares, more than the {MOST} that are sampled in good time")
    return field.without_payoffs(
        Shares,
        {site: dist.Dirichlet(np.ones(n)) for site, (n, _) in shares.sites.items()},
        "Choice shares: everybody chooses with the same probabilities, one for each action in each role of each game, "
        "all shares being equally likely beforehand; nothing depends on payoffs",
        {
            site: (f"{PLACE}_of_{n}", tuple(shares.places[k].label for k in members))
            for site, (n, members) in shares.sites.items()
        },
    )


CHOICE_SHARES = Rival(
    "choice shares",
    "No payoffs: in each role of each game every action has a probability of its own, the same for everybody. "
    "All probabilities are equally likely beforehand.",
    build,
    (formula(sub("p", text("game")), "∼", text("Dirichlet"), "(1,1,…,1)"),),
    Ingredients("no payoffs", habit="inferred", pooling="none", payoffs=False),
)
