"""How well could anybody predict these decisions? Entropies of what people did in one situation, estimated.

A prediction of people who are all alike to it cannot beat minus the entropy of what is done in a situation. One that
knows a person perfectly cannot beat minus the entropy of what that person does there. Entropies are estimated by
Zhang (2012), in the form of Schürmann (2015):

    H = Σ_k (n_k / n) (ψ(n) − ψ(n_k)),  E[H] − entropy = −Σ_k p_k Σ_{v≥n} (1 − p_k)^v / v.

An estimator without bias does not exist. This one is too low by a number that vanishes exponentially with n p_k: by
4e-8 nats for 21 tosses of a fair coin, and by at most 0.29 / n nats for each possible action, of those with
p_k around 0.4 / n.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Num
from scipy.special import digamma

from bayescal.table.codes import unique_rows
from bayescal.table.decisions import Decisions

REPEATED = 10  # decisions in one situation from which its entropy can be estimated
_MOST = 0.9  # share of decisions that must be in such situations

Counts = Num[np.ndarray, "rows actions"]


@dataclass(frozen=True)
class Estimate:
    """A noise floor in nats per decision, with its standard error.

    Attributes:
        bias: about how much nearer to zero than the truth it is on average, because some actions are rare.

    Example:
        >>> from bayescal.comparison.noise_floor import Estimate
        >>> print(Estimate(-0.5131, 0.0042))
        -0.5131 ± 0.0042
    """

    mean: float
    se: float
    bias: float = 0.0

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.se:.4f}"


@dataclass(frozen=True)
class NoiseFloor:
    """The best mean log scores that are possible, estimated.

    Attributes:
        unknown: of a model that does not know who decides; None where fewer than nine in ten decisions were made in a
            situation that came up ten times.
        known: of a model that knows each person's choice probabilities in each situation; None where fewer than nine in
            ten decisions were made by a person who was ten times in that situation, and where people are not known.
    """

    unknown: Estimate | None
    known: Estimate | None


@dataclass(frozen=True)
class Done:
    """What was done, by situation and person.

    Attributes:
        counts: of each action; a row is a person in a situation (a situation, where people are not known).
        situation: of each row.
        person: of each row; None where people are not known.
    """

    counts: Counts
    situation: Int[np.ndarray, " rows"]
    person: Int[np.ndarray, " rows"] | None


def noise_floor(decisions: Decisions) -> NoiseFloor:
    """Estimate how well these decisions can be predicted.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.comparison.noise_floor import noise_floor
        >>> decisions = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'").decisions
        >>> print(noise_floor(decisions).unknown)
        -0.4191 ± 0.0056
    """
    done = done_by(decisions)
    return NoiseFloor(floor_of_unknown(done), floor_of_known(done))


def done_by(decisions: Decisions) -> Done:
    """A situation is a role in a game, and in games over time also what was seen."""
    if decisions.play is None:
        keys = decisions.cells[["game_index", "role_index"]].to_numpy()
        known = "participant_index" in decisions.cells
        people = decisions.cells["participant_index"].to_numpy() if known else np.zeros(len(keys), int)
        return _summed(_codes(keys), people, decisions.counts, known)
    played = decisions.table.iloc[decisions.play.row]
    situation, start = np.zeros(len(played), int), 0
    for g, name in enumerate(decisions.environments):
        here = np.flatnonzero(played["game_index"].to_numpy() == g)
        if len(here):
            seen = [
                np.reshape(np.asarray(x, float), (len(here), -1)) for x in decisions.play.observations[name].values()
            ]
            seen.append(played["role_index"].to_numpy(float)[here, None])
            situation[here] = start + _codes(np.concatenate(seen, axis=1))
            start = situation[here].max() + 1
    known = "participant" in played
    people = played["participant"].cat.codes.to_numpy() if known else np.zeros(len(played), int)
    return _summed(situation, people, np.eye(decisions.counts.shape[1])[played["action_index"].to_numpy()], known)


def entropy(counts: Counts) -> Float[np.ndarray, " rows"]:
    """Entropy, in nats, of the distribution that the counts of each row were drawn from; of no decision, zero.

    Example:
        >>> import numpy as np
        >>> from bayescal.comparison.noise_floor import entropy
        >>> entropy(np.array([[10, 11], [21, 0]])).round(3).tolist()
        [0.716, 0.0]
    """
    n = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    parts = np.where(counts > 0, counts * (digamma(n) - digamma(np.maximum(counts, 1))), 0.0)
    return parts.sum(axis=-1) / n[..., 0]


def bias_of_entropy(p: Float[np.ndarray, " actions"], n: int) -> float:
    """What `entropy` is off on average, of n decisions with these probabilities.

    Example:
        >>> import numpy as np
        >>> from bayescal.comparison.noise_floor import bias_of_entropy
        >>> round(bias_of_entropy(np.array([0.95, 0.05]), 10), 4)
        -0.0288
    """
    v = np.arange(1, n)
    p = p[(p > 0) & (p < 1)]
    head = ((1 - p[:, None]) ** v / v).sum(axis=1)  # of −log p, the sum over all v
    return float(-(p * (-np.log(p) - head)).sum())


def floor_of_unknown(done: Done) -> Estimate | None:
    """Minus the entropy in a situation, over all people who were in it.

    Decisions of one person are alike, and people are few: the bias that this makes is estimated by leaving out one
    person at a time (the jackknife), and so is the standard error, which is too large where all actions are equally
    frequent. Where people are not known, decisions are left out.
    """
    total, n, bias = 0.0, 0.0, 0.0
    moved = np.zeros(1 if done.person is None else done.person.max() + 1)  # by person, what leaving them out moves
    variance = 0.0  # where people are not known
    for s in np.unique(done.situation):
        here = done.situation == s
        parts = done.counts[here].astype(float)
        sums = parts.sum(axis=0)
        size = sums.sum()
        if size < REPEATED:
            continue
        n += size
        total += size * float(entropy(sums[None])[0])
        bias -= size * bias_of_entropy(sums / size, int(size))
        if done.person is None:
            one = np.eye(len(sums))[sums > 0]
            variance += size**2 * (sums[sums > 0] @ _moves(sums, one, sums[sums > 0]) ** 2)
        elif len(parts) > 1:
            moves = _moves(sums, parts, np.ones(len(parts)))
            moved[done.person[here]] += size * moves
            total -= size * (len(parts) - 1) * float(entropy(sums - parts).mean() - entropy(sums[None])[0])
    if n < _MOST * done.counts.sum():
        return None
    variance += np.sum(moved**2)
    return Estimate(float(-total / n), float(np.sqrt(variance) / n), float(bias / n))


def _moves(
    sums: Float[np.ndarray, " actions"], parts: Counts, copies: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """How far leaving out each part moves the entropy, scaled so that the squares add up to its variance.

    Args:
        copies: how many parts there are of each kind.
    """
    without, units = entropy(sums - parts), copies.sum()
    return np.sqrt((units - 1) / units) * (without - copies @ without / units)


def floor_of_known(done: Done) -> Estimate | None:
    """Minus the entropy of each person's own decisions in a situation; people are a sample of people."""
    if done.person is None:
        return None
    size = done.counts.sum(axis=1)
    enough = size >= REPEATED
    n = size[enough].sum()
    if n < _MOST * size.sum():
        return None
    person = np.unique(done.person[enough], return_inverse=True)[1]
    people = person.max() + 1
    mean = -float(size[enough] @ entropy(done.counts[enough])) / n
    apart = np.bincount(person, size[enough] * (-entropy(done.counts[enough]) - mean))
    se = np.sqrt(people / (people - 1) * np.sum(apart**2)) / n if people > 1 else np.nan
    bias = sum(k * bias_of_entropy(x / k, int(k)) for x, k in zip(done.counts[enough], size[enough], strict=True))
    return Estimate(mean, float(se), -float(bias) / float(n))


def _codes(rows: Num[np.ndarray, "rows keys"]) -> Int[np.ndarray, " rows"]:
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def _summed(situation: Int[np.ndarray, " rows"], person: Int[np.ndarray, " rows"], counts: Counts, known: bool) -> Done:
    first, of = unique_rows([situation, person])
    out = np.zeros((len(first), counts.shape[1]))
    np.add.at(out, of, counts)
    return Done(out, situation[first], person[first] if known else None)
