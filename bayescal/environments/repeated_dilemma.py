"""The prisoner's dilemma, repeated with a known probability: what the last round brought is remembered."""

from collections.abc import Iterator

import numpy as np

from bayescal._types import Number
from bayescal.environments.markov import MarkovGame
from bayescal.environments.statistics import PlayRecord, Statistic, statistics_of_first_action
from bayescal.errors import InputError

STATES = ("first round", "both cooperated", "player 2 defected", "player 1 defected", "both defected")

OUTCOMES = (
    "in first rounds", "after both cooperated", "after the other defected", "after defecting alone",
    "after both defected",
)  # fmt: skip


class RepeatedDilemma(MarkovGame):
    """The game of Dal Bo & Frechette (2011, AER 101:411-429): cooperate or defect, in points, and the match goes on
    with probability `discount`.

    States are the first round of a match and, in later ones, the outcome of the round before (memory one): 0, then
    1 + 2 a1 + a2 with action 0 for cooperation. With `discount=0` people do not look ahead.

    Example:
        >>> import bayescal as bc
        >>> game = bc.repeated_dilemma(reward=48, discount=0.75)
        >>> game.states, game.discount
        (5, 0.75)
    """

    def __init__(
        self,
        reward: Number = 40.0,
        discount: Number = 0.75,
        *,
        sucker: Number = 12.0,
        temptation: Number = 50.0,
        punishment: Number = 25.0,
    ):
        if not temptation > reward > punishment > sucker:
            raise InputError(
                f"Prisoner's dilemma: temptation {temptation:g}, reward {reward:g}, punishment {punishment:g} and "
                f"sucker {sucker:g} must fall in this order."
            )
        own = np.array([[reward, sucker], [temptation, punishment]])
        payoffs = np.broadcast_to(np.stack([own, own.T]), (len(STATES), 2, 2, 2))
        transitions = np.zeros((len(STATES), 2, 2, len(STATES)))
        for a1 in range(2):
            for a2 in range(2):
                transitions[:, a1, a2, 1 + 2 * a1 + a2] = 1.0
        super().__init__(
            payoffs,
            transitions,
            discount,
            name="repeated-dilemma",
            action_labels=[["cooperate", "defect"]] * 2,
            start=[1.0, 0.0, 0.0, 0.0, 0.0],
            horizon=round(max(4.0, 3 / max(1 - discount, 1e-2))),
        )

    def statistics(self, record: PlayRecord) -> Iterator[Statistic]:
        """Cooperation: in all, over people and rounds, and after each outcome as the deciding person sees it."""
        state, second = record.seen["state"], record.roles == self.role_names[1]
        state = np.where(second & (state == 2), 3, np.where(second & (state == 3), 2, state))
        yield from statistics_of_first_action(record, "cooperation", state, OUTCOMES)


repeated_dilemma = RepeatedDilemma
