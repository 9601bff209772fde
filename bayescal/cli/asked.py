"""What commands are asked for: which study, which likelihood, and the words to repeat the command."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from bayescal.errors import InputError

if TYPE_CHECKING:
    from bayescal.policies.base import Policy
    from bayescal.study import Study


@dataclass(frozen=True)
class Which:
    """Which decisions a command uses, and with which likelihood: the options that several commands share.

    Attributes:
        data: a table in place of the study's own.
        where: which of its rows.
        options: of the game, each NAME=VALUE.
        policy: the likelihood: the name of a learned policy, or "exact" (None: the study's own).
        trust: whether the study's programs may run.
    """

    data: str | None
    where: str | None
    options: tuple[str, ...]
    policy: str | None
    trust: bool

    @property
    def flags(self) -> dict[str, Any]:
        """By name, the options of the command line."""
        return {name: getattr(self, name) for name in ("policy", "data", "where", "options", "trust")}


class SizeOptions(TypedDict):
    """How long chains are, as arguments of `calibrate` and `compare_study`."""

    draws: int
    warmup: int
    chains: int
    seed: int


@dataclass(frozen=True)
class Sizes:
    """How long chains are: the options that several commands share."""

    draws: int
    warmup: int
    chains: int
    seed: int

    @property
    def sizes(self) -> SizeOptions:
        return {"draws": self.draws, "warmup": self.warmup, "chains": self.chains, "seed": self.seed}


class Loaded(NamedTuple):
    """A study that was loaded.

    Attributes:
        policy: the likelihood if another than the study's own is asked for.
        how: the arguments of `load_study`, which fits remember. That the user trusts the study is not among them: a
            saved file must not be able to say so.
    """

    study: "Study"
    policy: "Policy | None"
    how: dict[str, Any]


def load_asked(study: str, which: Which, **more: Any) -> Loaded:
    """The study of a command.

    Args:
        more: further arguments of `load_study`.
    """
    from bayescal.study import load_study

    how: dict[str, Any] = {"data": which.data, "where": which.where, "options": read_options(which.options), **more}
    loaded = load_study(study, trust=which.trust, **how)
    return Loaded(loaded, find_policy(which.policy, loaded, which.trust), {"study": study, **how})


def find_policy(policy: str | None, study: "Study", trust: bool) -> "Policy | None":
    if policy is None:
        return None
    if policy == "exact":
        from bayescal.policies.exact import ExactPolicy

        return ExactPolicy(next(iter(study.decisions.environments.values())))
    from bayescal.training.recipe import load_model

    return load_model(policy, trust=trust)


def read_options(pairs: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """`--set name=value`: numbers, true, false or lists as in JSON; anything else is a text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{option} {pair!r} is not NAME=VALUE: write for example {option} discount=0.")
        try:
            options[name.strip()] = json.loads(text)
        except (ValueError, RecursionError):
            options[name.strip()] = text
    return options


def split_names(text: str) -> list[str]:
    """The names in `a,b`."""
    return [name.strip() for name in text.split(",") if name.strip()]


def flags(asked: Mapping[str, str | float | bool | Sequence[str] | None]) -> str:
    """Options as they are typed: without those that are None or False; a list is one option for each entry."""
    import shlex

    words = ""
    for name, value in asked.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if one is not None and one is not False:
                words += f" --{'set' if name == 'options' else name}"
                words += "" if one is True else f" {shlex.quote(str(one))}"
    return words


def check_sizes(draws: int, warmup: int, chains: int, checkpoint_every: int = 1) -> None:
    sizes = {"--draws": draws, "--warmup": warmup, "--chains": chains, "--checkpoint-every": checkpoint_every}
    least = {"--draws": 10}  # fewer have no effective sample size
    small = [f"{k} is {n} where at least {least.get(k, 1)} is needed" for k, n in sizes.items() if n < least.get(k, 1)]
    if small:
        raise InputError(f"{'; '.join(small)}: leave it out to get the default.")
