"""Volunteers whose costs are log-normal, their posterior on grids, and faults that are planted: by NumPy alone."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp
from scipy.stats import binom, norm

SIZES = (2, 3, 6, 9)  # people in a group, by treatment
PEOPLE, ROUNDS = 40, 20  # in each treatment
TRUTH = (np.log(0.25), 0.8)  # mean and standard deviation of log cost

NODES = np.linspace(np.log(0.005), np.log(20), 101)
MEANS, SDS = np.linspace(-2.6, 0.0, 19), np.linspace(0.2, 1.8, 17)


@dataclass(frozen=True)
class Played:
    """What was done: by person the treatment, how often they volunteered of how many decisions, and the decisions in
    their order."""

    treatment: np.ndarray
    volunteered: np.ndarray
    decisions: np.ndarray
    sequence: list[np.ndarray]


def gain(rate, size, stakes=1.0):
    """What volunteering earns more than waiting, where each other volunteers at this rate (Goeree, Holt & Smith)."""
    return stakes * (-0.2 + 0.8 * (1 - rate) ** (size - 1))


def rates(mean, sd, size, stakes=1.0, lapse=0.0):
    """The equilibrium rate of volunteering of people whose log costs are normal: a root by bisection."""
    weight = norm.pdf(NODES, mean, sd)
    weight = weight / weight.sum()
    low, high = 0.0, 1.0
    for _ in range(50):
        rate = (low + high) / 2
        reply = weight @ ((1 - lapse) * expit(gain(rate, size, stakes) / np.exp(NODES)) + lapse / 2)
        low, high = (rate, high) if reply > rate else (low, rate)
    return (low + high) / 2


def play(rng, fault=""):
    """One data set. Faults: "payoffs doubled" for groups of two, "lapses" of 15 %, "ids merged" (two pairs in each
    treatment), "repeats" (a fifth of decisions repeat the last one), or none."""
    treatment, sequence = [], []
    for t, size in enumerate(SIZES):
        stakes = 2.0 if fault == "payoffs doubled" and t == 0 else 1.0
        rate = rates(*TRUTH, size, stakes)
        cost = np.exp(rng.normal(*TRUTH, PEOPLE))
        chance = expit(gain(rate, size, stakes) / cost)
        if fault == "lapses":
            chance = 0.85 * chance + 0.075
        done = (rng.random((PEOPLE, ROUNDS)) < chance[:, None]).astype(int)
        if fault == "repeats":
            for r in range(1, ROUNDS):
                done[:, r] = np.where(rng.random(PEOPLE) < 0.2, done[:, r - 1], done[:, r])
        rows = list(done)
        if fault == "ids merged":
            rows = [np.stack([rows[0], rows[1]]).T.ravel(), np.stack([rows[2], rows[3]]).T.ravel(), *rows[4:]]
        sequence += rows
        treatment += [t] * len(rows)
    volunteered = np.array([x.sum() for x in sequence])
    return Played(np.array(treatment), volunteered, np.array([len(x) for x in sequence]), sequence)


_RATES = np.array([[[rates(m, s, n) for n in SIZES] for s in SDS] for m in MEANS])


def posterior(rng, data, draws):
    """(draws of everybody's chance to volunteer, and of the chance of a new person in everybody's place) under the
    model without faults."""
    chances = expit(gain(_RATES[..., None], np.array(SIZES)[:, None]) / np.exp(NODES))  # means, sds, treatments, nodes
    prior = norm.pdf(NODES, MEANS[:, None, None], SDS[:, None])
    log_prior = np.log(prior / prior.sum(axis=-1, keepdims=True) + 1e-300)  # means, sds, nodes
    total, curves = np.zeros(prior.shape[:2]), []
    for t, k, n in zip(data.treatment, data.volunteered, data.decisions, strict=True):
        curve = log_prior + binom.logpmf(k, n, chances[:, :, t])
        curves.append(curve)
        total += logsumexp(curve, axis=-1)
    weight = np.exp(total - total.max()).ravel()
    chosen = rng.choice(weight.size, draws, p=weight / weight.sum())
    m, s = np.unravel_index(chosen, total.shape)
    own, new = np.empty((draws, len(curves))), np.empty((draws, len(curves)))
    for i, (curve, t) in enumerate(zip(curves, data.treatment, strict=True)):
        for into, density in ((own, curve), (new, log_prior)):
            at = (density[m, s] + rng.gumbel(size=(draws, len(NODES)))).argmax(axis=1)
            into[:, i] = chances[m, s, t, at]
    return own, new
