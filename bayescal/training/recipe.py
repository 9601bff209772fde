"""A recipe: everything that makes one shipped model, and the folder that it is kept in."""

import importlib.util
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayescal import schema
from bayescal._types import Facts
from bayescal.environments.base import OneShot
from bayescal.errors import InputError
from bayescal.policies.learned import LearnedPolicy
from bayescal.policies.store import FACTS, load_policy, policy_files, policy_sha256, read_facts
from bayescal.reading import read_json
from bayescal.resources import resource_names, resource_path
from bayescal.results import Kind, Run, holding
from bayescal.training import facts as json_facts
from bayescal.training.base import Trainer
from bayescal.training.card import write_card
from bayescal.training.certificate import Keeper, Settings, certify, oracle_kl
from bayescal.training.certificate.cells import KEPT
from bayescal.training.certificate.measures import Progress
from bayescal.training.train import CHECKPOINT, Report, Trained, settings_of, train
from bayescal.versions import versions

EXPERIMENT, CERTIFICATE, CARD = "experiment.py", "certificate.json", "card.md"


@dataclass(frozen=True)
class Recipe:
    """How one model is trained and certified.

    Args:
        title, about: what the model is for, in a line and in a paragraph.
        trainer: with the skeleton of the policy inside.
        seed: of the training; the certificate's points are drawn from the next seed.
        points: how many points of the domain the certificate measures at.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.AmortisedPolicy(
        ...     bc.get_game("stag-hunt"), {"cost": (0.1, 10.0)}, width=8, depth=1
        ... )
        >>> recipe = bc.Recipe("Stag hunt", "Any cost from 0.1 to 10.", bc.SoftQExpected(policy, steps=2000))
        >>> recipe.skeleton is policy  # a function recipe() in experiment.py is what `bayescal train FOLDER` looks for
        True
    """

    title: str
    about: str
    trainer: Trainer
    seed: int = 0
    points: int = 300

    @property
    def skeleton(self) -> LearnedPolicy:
        return self.trainer.skeleton


def model_names() -> tuple[str, ...]:
    """The shipped models.

    Example:
        >>> import bayescal as bc
        >>> "beer-game" in bc.model_names()
        True
    """
    names = resource_names("models", EXPERIMENT)
    return tuple(n for n in names if "def recipe(" in (resource_path("models", n) / EXPERIMENT).read_text("utf-8"))


def find_model(model: str | Path) -> Path:
    """The folder of a model: the name of a shipped one, or a folder with an experiment.py."""
    if isinstance(model, str) and model in model_names():
        return resource_path("models", model)
    folder = Path(model)
    folder = folder.parent if folder.name == EXPERIMENT else folder
    if (folder / EXPERIMENT).is_file():
        return folder
    raise InputError(
        f"There is no model {str(model)!r}: the models are {', '.join(model_names())}; your own is a folder "
        f"with an {EXPERIMENT} that defines recipe()."
    )


def refuse_program(model: str | Path, folder: Path, trust: bool) -> None:
    """An InputError if a model is none of bayescal's, so that its experiment.py is a program of somebody else's.

    Args:
        model: what the user asks for.
        trust: allow it.
    """
    if not trust and not (isinstance(model, str) and model in model_names()):
        raise InputError(
            f"{folder / EXPERIMENT} belongs to none of bayescal's models, so it was not run: it is a program and has "
            "your rights. Read it, then allow it with --trust (trust=True in Python)."
        )


def read_recipe(folder: Path) -> Recipe:
    """Run the folder's experiment.py and return its recipe."""
    path = folder / EXPERIMENT
    spec = importlib.util.spec_from_file_location("experiment", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "recipe"):
        raise InputError(f"{path} defines no recipe(): there is nothing to train.")
    recipe = module.recipe()
    if not isinstance(recipe, Recipe):
        raise InputError(f"{path}: recipe() returns a {type(recipe).__name__}, where a bayescal.Recipe is needed.")
    return recipe


def load_model(model: str | Path, *, trust: bool = False) -> LearnedPolicy:
    """A trained policy: a shipped one, or that of a folder. It is used wherever an ExactPolicy is.

    Args:
        trust: run the experiment.py of a folder, which says what the weights are of. It is a program and has your
            rights; those of bayescal's own models always run.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.load_model("cournot")
        >>> policy.domain.names[:3]
        ('cost', 'phi.log_mean', 'phi.log_sd')
    """
    folder = find_model(model)
    refuse_program(model, folder, trust)
    return load_policy(read_recipe(folder).skeleton, folder)[0]


def train_model(
    recipe: Recipe,
    folder: Path,
    *,
    experiment: Path | None = None,
    command: str = "",
    restart: bool = False,
    every: float = 30.0,
    progress: Callable[[Report, float | None], None] | None = None,
    measuring: Progress | None = None,
) -> dict[str, Any]:
    """Train, certify, and write the model's folder in one step; returns the certificate.

    Args:
        experiment: the file that the recipe is in, to copy beside the weights; None if it is there already.
        command: shown to another run that wants the folder, and kept in its manifest.
        progress: called with each report and, every five seconds or so, the mean divergence from the exact policy.
        measuring: called while the certificate is measured.
    """
    skeleton = recipe.skeleton
    kl = oracle_kl(skeleton) if progress is not None and isinstance(skeleton.environment, OneShot) else None
    checked = 0.0

    def tell(report: Report, peek: Callable[[], LearnedPolicy]) -> None:
        nonlocal checked
        assert progress is not None
        look = kl is not None and report.seconds - checked > 5
        progress(report, kl(peek()) if kl is not None and look else None)
        checked = report.seconds if look else checked

    source = {} if experiment is None else {EXPERIMENT: experiment.read_bytes()}
    words = "the same command continues from there"
    with holding(folder, Kind.TRAIN, "", command=command, checkpoints=CHECKPOINT, resume=words) as held:
        trained = train(
            recipe.trainer,
            seed=recipe.seed,
            folder=folder,
            every=every,
            restart=restart,
            progress=None if progress is None else tell,
        )
        made = policy_files(trained.policy, _provenance(recipe, trained))
        certificate = _measure(recipe, trained.policy, json.loads(made[FACTS]), folder, None, _settings(), measuring)
        made |= source | _certificate_files(recipe, json.loads(made[FACTS]), certificate)
        run = Run(Kind.TRAIN, command, "", (recipe.seed,), policies={"policy": policy_sha256(trained.policy)})
        held.commit(run, made.items(), retired=[folder / CHECKPOINT, folder / KEPT], kept=[EXPERIMENT])
    return certificate


def _provenance(recipe: Recipe, trained: Trained) -> dict[str, Any]:
    return {
        "trainer": settings_of(recipe.trainer),
        "seed": recipe.seed,
        "seconds_training": round(trained.history[-1].seconds if trained.history else 0.0, 1),
        "seconds_compiling": round(trained.seconds_compiling, 1),
        "data_hash": None,  # nothing was trained on data
        "versions": versions(),
    }


def certify_model(
    recipe: Recipe,
    folder: Path,
    *,
    command: str = "",
    points: int | None = None,
    effort: int = 1,
    costs: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure the folder's policy; write its certificate and its card.

    An interrupted run goes on where it was, if the game has no exact solution.

    Args:
        effort: how many times as many games are played where there is no exact policy.
        costs: at how many costs of each role; None for ten.
    """
    words = "the same command continues from there"
    with holding(folder, Kind.CERTIFY, "", command=command, checkpoints=KEPT, resume=words) as held:
        policy, facts = load_policy(recipe.skeleton, folder)
        certificate = _measure(recipe, policy, facts, folder, points, _settings(effort, costs), progress)
        run = Run(Kind.CERTIFY, command, "", (recipe.seed + 1,), policies={"policy": policy_sha256(policy)})
        held.commit(run, _certificate_files(recipe, facts, certificate).items(), retired=[folder / KEPT])
    return certificate


def _settings(effort: int = 1, costs: int | None = None) -> Settings:
    usual = Settings() if costs is None else Settings(costs=costs)
    return usual.times(effort)


def _measure(
    recipe: Recipe,
    policy: LearnedPolicy,
    facts: Facts,
    folder: Path,
    points: int | None,
    settings: Settings,
    progress: Progress | None,
) -> dict[str, Any]:
    """The certificate of a policy.

    Args:
        facts: those of policy.json.
        folder: where what has been measured is kept while it is measured.
    """
    started = time.perf_counter()
    measured = certify(
        policy,
        points=points or recipe.points,
        seed=recipe.seed + 1,
        settings=settings,
        keeper=Keeper(folder / KEPT, facts["weights_sha256"]),
        progress=progress,
    )
    return {
        "title": recipe.title,
        "weights_sha256": facts["weights_sha256"],
        "environment_hash": facts["environment_hash"],
        **measured,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _certificate_files(recipe: Recipe, facts: Facts, certificate: Facts) -> dict[str, bytes]:
    return {
        CERTIFICATE: (json.dumps(certificate, indent=2) + "\n").encode(),
        CARD: write_card(recipe.title, recipe.about, facts, certificate).encode(),
    }


def read_certificate(folder: Path) -> dict[str, Any] | None:
    """The folder's certificate; None if it has none."""
    path = folder / CERTIFICATE
    if not path.is_file():
        return None
    advice = "it is damaged: measure the model again with `bayescal certify`"
    found = read_json(path, advice)
    schema.check(found, json_facts.certificate, str(path), advice)
    if (folder / FACTS).is_file() and found["weights_sha256"] != read_facts(folder)["weights_sha256"]:
        raise InputError(
            f"{path} measures other weights than {FACTS} describes: measure the model again with `bayescal certify`."
        )
    return found


def list_models() -> list[dict[str, Any]]:
    """Of every shipped model: its title, domain, whether it is trained, and its certificate."""
    out = []
    for name in model_names():
        folder = resource_path("models", name)
        trained = (folder / FACTS).is_file()
        measured = read_certificate(folder)
        out.append(
            {
                "name": name,
                "title": measured["title"] if measured else "",
                "trained": trained,
                "domain": read_facts(folder)["policy"]["domain"] if trained else None,
                "certificate": measured,
            }
        )
    return out
