import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.likelihood import chebyshev
from bayescal.likelihood.evidence import Error, Evidence, Unresolved

NODES = np.linspace(-3.0, 1.5, 41)
ACTIONS = np.linspace(0.0, 1.0, 25)
BOX = bc.Domain.of(**{"phi.log_mean": (-0.3, 0.3), "psi.pull": (0.2, 4.0)})
HERE = {"phi.log_mean": 0.11, "psi.pull": 1.7}


@dataclasses.dataclass(frozen=True, eq=False)
class Choices:
    """A one-shot choice of 25, of which value and habit depend on shared numbers: counts are sufficient."""

    counts: np.ndarray
    participants: tuple[str, ...]
    names: tuple[str, ...] = ("phi.log_mean", "psi.pull")

    @property
    def decisions(self):
        return self.counts.sum(axis=1).astype(int)

    def log_probs(self, log_cost, shared):
        others, pull = shared.get("phi.log_mean", 0.0), shared.get("psi.pull", 1.0)
        value = -4.0 * (ACTIONS - 0.5 - 0.2 * jnp.tanh(others)) ** 2 / (1.0 + 0.3 * jnp.sin(others))
        habit = -pull * jnp.abs(ACTIONS - 0.3)
        return jax.nn.log_softmax(value / jnp.exp(log_cost)[:, None] + habit, axis=-1)

    def curves(self, log_cost, shared):
        return self.counts @ self.log_probs(log_cost, shared).T


class Divided(Choices):
    """The same, that never gives more than `most` people's curves at once."""

    largest = 0

    def of_some(self, people):
        return Choices(self.counts[people], tuple(self.participants[i] for i in people), self.names)

    def shards(self, most):
        for start in range(0, len(self.participants), 7):
            yield self.of_some(np.arange(start, min(start + 7, len(self.participants))))

    def curves(self, log_cost, shared):
        raise AssertionError("everybody's curves at once")


def people(n, each=25, seed=0, names=("phi.log_mean", "psi.pull"), kind=Choices):
    rng = np.random.default_rng(seed)
    game = Choices(np.zeros((0, 25)), (), names)
    shared = {name: HERE[name] for name in names}
    p = np.exp(np.asarray(game.log_probs(jnp.asarray(rng.normal(-0.8, 0.5, n)), shared), float))
    counts = rng.multinomial(each, p / p.sum(axis=1, keepdims=True)).astype(float)
    return kind(counts, tuple(f"p{seed}.{i}" for i in range(n)), names)


def population(mean, sd):
    return jax.nn.log_softmax(-0.5 * ((jnp.asarray(NODES) - mean) / sd) ** 2)


def fresh(n, seed=123):
    unit = jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (n, 2)))
    return chebyshev.from_unit(BOX, unit)


@pytest.fixture
def precise():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def crowd():
    return people(60)


@pytest.fixture(scope="module")
def evidence(crowd):
    return Evidence.build(crowd, NODES, BOX)


@pytest.mark.parametrize("degrees", [(), (5,), (6, 9), (4, 2, 7)])
def test_a_polynomial_goes_through_its_nodes_and_is_what_it_was_made_of(degrees, precise):
    rng = np.random.default_rng(1)
    terms = rng.normal(size=tuple(d + 1 for d in degrees))
    nodes = chebyshev.nodes(degrees)
    assert len(nodes) == terms.size
    values = chebyshev.basis(nodes, degrees) @ terms.ravel()
    assert np.allclose(chebyshev.coefficients(values, degrees), terms, atol=1e-13)
    for x in (rng.uniform(-1, 1, len(degrees)), np.ones(len(degrees))):
        direct = np.polynomial.chebyshev.chebval(x[0], terms) if len(degrees) == 1 else None
        found = chebyshev.evaluate(jnp.asarray(terms[None]), jnp.asarray(x))[0]
        assert np.isclose(found, chebyshev.basis(x[None], degrees)[0] @ terms.ravel(), atol=1e-12)
        assert direct is None or np.isclose(found, direct, atol=1e-13)


def test_numbers_keep_their_place_in_the_box_and_wide_positive_ones_are_even_in_their_logarithm(precise):
    box = bc.Domain.of(a=(-2.0, 6.0), b=(0.01, 1.0))
    assert np.allclose(chebyshev.to_unit(box, {"a": 2.0, "b": 0.1}), [0.0, 0.0])
    values = {"a": -1.3, "b": 0.7}
    back = chebyshev.from_unit(box, chebyshev.to_unit(box, values))
    assert all(np.isclose(back[n], values[n]) for n in values)


def test_curves_are_right_where_it_matters_everywhere_in_the_box(crowd, evidence, precise):
    assert evidence.within and evidence.status.startswith("compressed")
    assert evidence.decisions == 60 * 25 and evidence.participants == crowd.participants
    assert evidence.rank <= 12
    points = fresh(200)
    exact = jax.jit(jax.vmap(lambda s: crowd.curves(jnp.asarray(NODES), s)))(points)
    found = jax.jit(jax.vmap(evidence.curves))(points)
    near = exact > exact.max(axis=2, keepdims=True) - 20
    worst = float(jnp.abs(jnp.where(near, found - exact, 0.0)).max())
    # 28 points were looked at when it was built; 200 others may find a little more.
    assert worst <= 3 * evidence.error.curve
    assert evidence.error.curve <= 1e-3
    narrow, broad = population(-0.8, 0.2), population(-0.8, 1.0)
    for weights in (narrow, broad):
        m = jax.nn.logsumexp(exact + weights, axis=2)
        own = jax.vmap(lambda s, w=weights: evidence.log_marginal(w, s))(points)
        assert float(jnp.abs(own - m).max()) <= 1e-3
        assert float(jnp.abs((own - m).sum(axis=1)).max()) <= 0.02


def test_gradients_agree_with_the_likelihoods_own(precise):
    crowd = people(40)
    evidence = Evidence.build(crowd, NODES, BOX, tolerance=1e-8, most_total=1e-8)
    assert evidence.U.dtype == np.float64  # single precision is not enough for that

    def total(curves):
        def f(x):
            shared = {"phi.log_mean": x[2], "psi.pull": x[3]}
            return jax.nn.logsumexp(curves(shared) + population(x[0], jnp.exp(x[1])), axis=1).sum()

        return f

    exact = total(lambda s: crowd.curves(jnp.asarray(NODES), s))
    found = total(evidence.curves)
    parts = lambda x: evidence.log_marginal(population(x[0], jnp.exp(x[1])), {"phi.log_mean": x[2], "psi.pull": x[3]})
    x = jnp.array([-0.8, -0.7, 0.11, 1.7])
    theirs, ours, fast = (jax.jit(f)(x) for f in (jax.grad(exact), jax.grad(found), jax.grad(lambda x: parts(x).sum())))
    assert np.allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    assert np.allclose(fast, theirs, rtol=1e-6, atol=1e-6)


def test_the_error_that_is_told_is_honest_and_too_few_nodes_are_not_enough(crowd, evidence, precise):
    with pytest.raises(
        Unresolved, match=r"not compressed: off by at most .* no more than 12 nodes are allowed"
    ) as told:
        Evidence.build(crowd, NODES, BOX, most_nodes=12)
    rough = Evidence.build(crowd, NODES, BOX, most_nodes=12, strict=False)
    assert not rough.within and np.prod([d + 1 for d in rough.degrees]) <= 12
    assert min(rough.error.person, told.value.error.person) > 10 * evidence.error.person
    points = fresh(200)
    exact = jax.vmap(lambda s: crowd.curves(jnp.asarray(NODES), s))(points)
    found = jax.vmap(rough.curves)(points)
    worst = float(jnp.abs(jnp.where(exact > exact.max(axis=2, keepdims=True) - 20, found - exact, 0.0)).max())
    assert worst > 1e-3
    assert worst / 3 < rough.error.curve < 3 * worst
    # An evidence is measured against a likelihood that it was not built from as well.
    wrong = dataclasses.replace(crowd, counts=np.roll(crowd.counts, 1, axis=1))
    assert evidence.measure(crowd).person <= 1e-3
    assert evidence.measure(wrong).person > 0.1


@pytest.mark.slow
def test_someone_unlike_all_others_is_compressed_as_well(precise):
    # The pilot sees 256 of 300 people; one whom it does not has made three thousand decisions, the others twenty-five.
    crowd, unlike = people(300), people(1, each=3000, seed=5).counts
    unseen = np.setdiff1d(np.arange(300), np.random.default_rng(0).choice(300, 256, replace=False))[0]
    crowd.counts[unseen] = unlike[0]
    done = []
    evidence = Evidence.build(crowd, NODES, BOX, progress=lambda *at: done.append(at[0]))
    assert evidence.within
    assert sum(b < a for a, b in itertools.pairwise(done)) == 1  # gone through twice


def test_shards_sum_to_the_evidence_of_all(crowd, evidence, precise):
    first, second = (
        Choices(crowd.counts[a], crowd.participants[a.start : a.stop]) for a in (slice(0, 25), slice(25, 60))
    )
    parts = [Evidence.build(x, NODES, BOX, like=evidence) for x in (first, second)]
    whole = sum(parts)
    assert whole.participants == crowd.participants and whole.rank == evidence.rank
    assert whole.decisions == evidence.decisions
    near = lambda a, b, atol: np.allclose(a.curves(HERE), b.curves(HERE), rtol=1e-6, atol=atol)
    assert near(whole, evidence, 1e-5)
    assert whole.error.person >= evidence.error.person
    # Of bases of their own, and of different degrees: as good as the parts are.
    parts = [Evidence.build(first, NODES, BOX), Evidence.build(second, NODES, BOX, tolerance=1e-6, most_total=1e-5)]
    assert parts[0].degrees != parts[1].degrees
    mixed = parts[1] + parts[0]
    assert mixed.participants == second.participants + first.participants
    for part, some in zip(parts, (slice(35, 60), slice(0, 35)), strict=True):
        assert np.allclose(mixed.curves(HERE)[some], part.curves(HERE), rtol=1e-6, atol=1e-5)
    assert (
        mixed.measure(Choices(np.roll(crowd.counts, 35, axis=0), mixed.participants)).person <= 1.5 * mixed.error.person
    )


def test_people_in_two_shards_have_the_decisions_of_both(crowd, evidence, precise):
    half = np.minimum(crowd.counts, 1.0)
    rest = dataclasses.replace(crowd, counts=(crowd.counts - half)[10:], participants=crowd.participants[10:])
    both = Evidence.build(dataclasses.replace(crowd, counts=half), NODES, BOX) + Evidence.build(rest, NODES, BOX)
    assert both.participants == crowd.participants and any("50 people are in two parts" in n for n in both.notes)
    found, exact = both.curves(HERE)[10:], crowd.curves(jnp.asarray(NODES), HERE)[10:]
    near = exact > exact.max(axis=1, keepdims=True) - 20
    assert np.abs(np.where(near, found - exact, 0.0)).max() <= both.error.curve


def test_shards_are_gone_through_one_after_another(crowd, evidence, precise):
    done = []
    divided = Divided(crowd.counts, crowd.participants)
    own = Evidence.build(divided, NODES, BOX, progress=lambda *at: done.append(at))
    assert np.allclose(own.curves(HERE), evidence.curves(HERE), rtol=1e-6, atol=1e-4)
    assert done[-1][0] == done[-1][1] and all(a[0] < b[0] for a, b in itertools.pairwise(done))
    astray = Divided(crowd.counts, crowd.participants)
    object.__setattr__(astray, "shards", lambda most: [astray.of_some(np.arange(1, 60))])
    with pytest.raises(bc.InputError, match="do not contain its participants once each and in their order"):
        Evidence.build(astray, NODES, BOX, like=evidence)
    object.__setattr__(astray, "shards", lambda most: [astray.of_some(np.arange(0, 50))])
    with pytest.raises(bc.InputError, match="do not contain all of its participants"):
        Evidence.build(astray, NODES, BOX, like=evidence)


def test_some_people_also_inside_a_compiled_function(evidence, precise):
    some = evidence.take([4, 1])
    assert some.participants == (evidence.participants[4], evidence.participants[1])
    expected = evidence.curves(HERE)[np.array([4, 1])]
    assert np.allclose(some.curves(HERE), expected)
    assert np.allclose(jax.jit(lambda s: evidence.take([4, 1]).curves(s))(HERE), expected, atol=1e-5)
    assert np.allclose(jax.jit(lambda e, s: e.take([4, 1]).curves(s))(evidence, HERE), expected, atol=1e-5)


def test_without_shared_numbers_there_is_nothing_to_interpolate(precise):
    crowd = people(5, names=())
    evidence = Evidence.build(crowd, NODES, bc.Domain(()), tolerance=1e-12, most_total=1e-12)
    assert evidence.rank == 1 and evidence.degrees == ()
    assert np.allclose(evidence.curves({}), crowd.curves(jnp.asarray(NODES), {}), rtol=1e-14)


def test_a_file_gives_back_what_was_saved_or_says_what_is_wrong(evidence, tmp_path, precise):
    path = evidence.save(tmp_path / "cournot.evidence")
    again = Evidence.load(path)
    assert jax.tree.structure(again) == jax.tree.structure(evidence)
    assert all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(*map(jax.tree.leaves, (again, evidence)), strict=True)
    )
    with pytest.raises(bc.InputError, match="there is no such file"):
        Evidence.load(tmp_path / "nothing")
    whole = path.read_bytes()
    for content in (b"participant,cost\n1,2\n", whole[: len(whole) // 2], whole[:4]):
        path.write_bytes(content)
        with pytest.raises(bc.InputError, match="is not evidence saved by bayescal, or is cut short"):
            Evidence.load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["cournot.evidence"]


def test_what_does_not_fit_together_is_told(crowd, evidence):
    with pytest.raises(bc.InputError, match=r"depends on phi.log_mean, psi.pull; the box has phi.log_mean:"):
        Evidence.build(crowd, NODES, bc.Domain.of(**{"phi.log_mean": (0.0, 1.0)}))
    endless = bc.Domain.of(**{"phi.log_mean": (0.0, 1.0), "psi.pull": (0.0, np.inf)})
    with pytest.raises(bc.InputError, match=r"finite ends: psi.pull \[0, inf\]"):
        Evidence.build(crowd, NODES, endless)
    impossible = dataclasses.replace(crowd, counts=np.where(np.arange(60)[:, None] == 7, np.nan, crowd.counts))
    with pytest.raises(bc.InputError, match=r"log-likelihood of p0.7 is not finite"):
        Evidence.build(impossible, NODES, BOX)
    with pytest.raises(bc.InputError, match=r"takes .* GB, more than the 0.0 GB allowed"):
        Evidence.build(crowd, NODES, BOX, memory=1e4)
    other = bc.Domain.of(**{"phi.log_mean": (-0.3, 0.2), "psi.pull": (0.2, 4.0)})
    with pytest.raises(bc.InputError, match="only to evidence of the same nodes and box"):
        evidence + Evidence.build(crowd, NODES, other)
    with pytest.raises(bc.InputError, match="only to evidence of the same nodes and box"):
        Evidence.build(crowd, NODES[1:], BOX, like=evidence)
    with pytest.raises(bc.InputError, match="other participants"):
        evidence.measure(people(3))
    with pytest.raises(TypeError):
        evidence + 1
    assert Error(1.0, 2.0, 3.0, 4.0) + Error(total=1.0) == Error(1.0, 2.0, 3.0, 5.0)
