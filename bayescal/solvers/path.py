"""Follow a curve of solutions F(v, s) = 0 from (v0, 0) to s = end, without jumping to another curve.

Pseudo-arclength predictor-corrector (Allgower & Georg 1990, ch. 6; Turocy 2005 for logit equilibria): the
curve is parametrised by its length, so it is also followed where it turns back in s (a fold). The **orientation**
tells curves apart: along one curve the product sign(det F_v) · sign(ds/dlength) never changes (at a fold both signs
change). If the corrector lands on a neighbouring curve the product has the other sign; the step is then rejected and
repeated with a shorter length. The sign does not see two eigenvalues of F_v pass zero together, so these are counted
too (`linear.change`), and a step over which two or more do is rejected in the same way. For more than three unknowns
that costs more than the step. Then it is done where the sign of another number changes (x · F_v⁻¹ x, for a fixed x),
and the curve is followed again with a count at every step if its end turns out to have unstable directions.

If the step is rejected at every length, the point is a **fork**. With a single kernel (a symmetric game's pitchfork)
the half-branch along the kernel is followed in the direction of `tie_break`. With a kernel of two dimensions or more
(three or more options that are alike) the half-branches do not point along its axes. The curve is then followed again
from its start with `NUDGE` logits added along `tie_break` and a fixed direction without symmetries, as if the habit
leaned a little that way: a generic curve has no forks. The last correction, at s = end, is made without the nudge.

Everything is one `while_loop` whose body is one Newton iteration, so that under `vmap` no game waits for
another's corrector.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bayescal.solvers.linear import EXPLICIT, Derivative, change, negative_directions

# (v, s) -> (F, F_v, F_s)
Linearise = Callable[[Float[Array, " d"], Float[Array, ""]], tuple[Float[Array, " d"], Derivative, Float[Array, " d"]]]

CONVERGED, STALLED, OUT_OF_STEPS, UNCONFIRMED, _WALKING = 0, 1, 2, 3, -1
MESSAGES = {
    CONVERGED: "converged",
    STALLED: "stalled: the step became too small before the target cost was reached",
    OUT_OF_STEPS: "out of steps before the target cost was reached",
    UNCONFIRMED: "not confirmed: the reply to the play that was found differs from it, as it does where the cost is so "
    "small beside the payoffs that their differences are lost in rounding",
}

MAX_CORRECTION = 0.7  # a longer first correction (in logits) means that the prediction was poor
AIM = 0.3  # the first correction that the step length aims at
CONTRACTION = 0.5  # every further correction must be this much shorter
MAX_CORRECTORS = 6
MIN_COSINE = 0.6  # between one tangent and the next
GROWTH, SHRINK = 4.0, 0.35
NUDGE = 1e-3  # logits


class PathResult(eqx.Module):
    """The end of the curve: the point, the outcome, the number of Newton iterations, the number of unstable directions
    (eigenvalues of F_v with negative real part), and whether the curve forked on the way."""

    point: Float[Array, " d"]
    status: Int[Array, ""]
    iterations: Int[Array, ""]
    unstable: Int[Array, ""]
    forked: Bool[Array, ""]


class _Walk(NamedTuple):
    """The last accepted point (v, s), the curve's direction there, and the trial point being corrected."""

    v: Float[Array, " d"]
    s: Float[Array, ""]
    tangent: Float[Array, " d+1"]
    bend: Float[Array, " d+1"]  # change of the tangent per unit length: the quadratic part of the predictor
    core: Float[Array, "m m"]  # of F_v there
    probe: Float[Array, ""]  # x · F_v⁻¹ x there, for a fixed x
    careful: Bool[Array, ""]  # eigenvalues are counted at every step
    fresh: Bool[Array, ""]  # no point has been accepted yet
    nudge: Float[Array, ""]  # logits added to v, to tell the arms of a fork apart
    forked: Bool[Array, ""]
    h: Float[Array, ""]
    trial_v: Float[Array, " d"]
    trial_s: Float[Array, ""]
    landing: Bool[Array, ""]  # the trial point is held at s = end
    switching: Bool[Array, ""]  # the trial point is on a new branch
    corrections: Int[Array, ""]
    last_distance: Float[Array, ""]
    first_distance: Float[Array, ""]
    iterations: Int[Array, ""]
    status: Int[Array, ""]
    passed: Int[Array, ""]  # how many eigenvalues were last counted to have passed zero


def follow_path(
    linearise: Linearise,
    start: Float[Array, " d"],
    end: Float[Array, ""],
    *,
    tie_break: Float[Array, " d"],
    first_step: float = 0.5,
    max_iterations: int = 1000,
    known: Bool[Array, ""] | None = None,
    rank: int | None = None,
) -> PathResult:
    """Follow F(v, s) = 0 from F(start, 0) = 0 to the first point with s = end.

    Args:
        linearise: F and its derivatives at (v, s), scaled so that a unit of v is a logit and a unit of s moves
            v by about one.
        start: the solution at s = 0, where F_v is the identity.
        end: where to stop, > 0; of any size, since steps grow geometrically where the curve is straight.
        tie_break: at a fork, the direction that the branch should go along; its negative chooses the other arm.
        known: whether the end is known from elsewhere, so that nothing need be followed. Under `vmap` only the other
            members of the batch cost time.
        rank: the size of the core of F_v, if that is not F_v itself.
    """
    dtype = start.dtype
    eps = jnp.finfo(dtype).eps
    fine = dtype == jnp.float64
    tol_path = 1e-2
    tol_end = 1e-10 if fine else 1e-5
    shortest = 1e-9 if fine else 1e-4
    at_bifurcation = 1e-2 if fine else 3e-2  # below this, roundoff decides which branch is found
    d = start.shape[0]
    m = d if rank is None else rank
    end = jnp.asarray(end, dtype)
    unit_s = jnp.zeros(d + 1, dtype).at[d].set(1)

    def count(new, old, unchecked, wanted):
        """How many eigenvalues have passed zero (at an end that is unchecked: since the start); 0 if not wanted."""
        if m <= EXPLICIT:
            return negative_directions(change(old, new))
        # A loop of at most one turn: unlike `cond`, a batch is spared it if no member wants it.
        since = jnp.where(unchecked, jnp.eye(m, dtype=dtype), old)
        look = lambda _: (jnp.asarray(False), negative_directions(change(since, new)))
        return jax.lax.while_loop(lambda c: c[0], look, (wanted, jnp.zeros((), jnp.int32)))[1]

    def begin(nudge, careful) -> _Walk:
        """The first trial point."""
        zero, no, none = jnp.zeros((), dtype), jnp.asarray(False), jnp.zeros((), jnp.int32)
        leaning = jnp.asarray(nudge, dtype)
        at = start + leaning * lean
        return _Walk(
            v=at, s=zero, tangent=unit_s, bend=jnp.zeros(d + 1, dtype), core=jnp.eye(m, dtype=dtype),
            probe=zero, careful=careful, fresh=jnp.asarray(True), nudge=leaning, forked=leaning > 0,
            h=jnp.asarray(first_step, dtype),
            trial_v=at, trial_s=zero, landing=no, switching=no, corrections=none, last_distance=zero,
            first_distance=zero, iterations=none, status=none, passed=none,
        )  # fmt: skip

    def predict(w: _Walk) -> _Walk:
        """The trial point at distance h; at s = end if the step would pass the end."""

        def at(h):
            return jnp.append(w.v, w.s) + h * (w.tangent + 0.5 * h * w.bend)

        point = at(w.h)
        landing = point[d] >= end
        slope = jnp.where(w.tangent[d] > 0, w.tangent[d], 1)
        h = jnp.where(landing, jnp.minimum(w.h, (end - w.s) / slope), w.h)
        point = at(h)
        return w._replace(
            h=h,
            trial_v=point[:d],
            trial_s=jnp.where(landing, end, point[d]),
            landing=landing,
            switching=jnp.zeros_like(landing),
            corrections=jnp.zeros_like(w.corrections),
        )

    # Negated with `tie_break`, and without symmetries.
    sense = jnp.where(jnp.sum(tie_break) < 0, -1, 1).astype(dtype)
    uneven = sense * jnp.cos(jnp.arange(1, d + 1, dtype=dtype))
    # The start of the inverse iteration: near `tie_break`, but orthogonal to no kernel.
    seed = tie_break + 1e-3 * uneven
    lean = tie_break + 0.3 * uneven

    def switch(w: _Walk, towards_kernel) -> _Walk:
        """At a bifurcation: follow the kernel of F_v, found by inverse iteration from `seed`."""
        kernel = towards_kernel / jnp.linalg.norm(towards_kernel)
        kernel = kernel * jnp.where(jnp.dot(kernel, tie_break) < 0, -1, 1)
        h = jnp.asarray(0.1, dtype)
        return w._replace(
            tangent=jnp.append(kernel, 0.0),
            bend=jnp.zeros_like(w.bend),
            h=h,
            trial_v=w.v + h * kernel,
            trial_s=w.s,
            landing=jnp.zeros_like(w.landing),
            switching=jnp.ones_like(w.switching),
            corrections=jnp.zeros_like(w.corrections),
            forked=jnp.ones_like(w.forked),
        )

    def body(w: _Walk) -> _Walk:
        f, linear, f_s = linearise(w.trial_v, w.trial_s)
        f = f - jnp.where(w.landing, 0.0, w.nudge) * lean
        solved, sign = linear.solve(jnp.stack([f, f_s, seed], axis=1))
        to_root, along_s, towards_kernel = solved.T
        border = jnp.where(w.landing, unit_s, w.tangent)
        ds = jnp.dot(border[:d], to_root) / (border[d] - jnp.dot(border[:d], along_s))
        dv = -to_root - along_s * ds
        # At a root no correction is needed, even if F_v is singular (a symmetric game at its bifurcation).
        at_rest = jnp.max(jnp.abs(f)) <= eps
        dv, ds = jnp.where(at_rest, 0.0, dv), jnp.where(at_rest, 0.0, ds)
        distance = jnp.maximum(jnp.max(jnp.abs(dv)), jnp.abs(ds) / (1 + jnp.abs(w.trial_s)))
        distance = jnp.where(jnp.isfinite(distance), distance, jnp.inf)
        v, s = w.trial_v + dv, w.trial_s + ds
        roundoff = 16 * eps * (1 + jnp.max(jnp.abs(w.trial_v)))

        first = w.corrections == 0
        first_distance = jnp.where(first, distance, w.first_distance)
        too_far = distance > jnp.where(first, MAX_CORRECTION, CONTRACTION * w.last_distance)
        # Corrections that are tiny and no longer shrink: the limit of roundoff (of s times a payoff).
        at_floor = ~first & too_far & (distance <= jnp.sqrt(eps) * (1 + jnp.max(jnp.abs(w.trial_v))))
        # The error of a tangent is that of its point, times the step length: longer steps need a smaller tolerance.
        tol = jnp.where(w.landing, tol_end, tol_path / (1 + 0.01 * w.h))
        arrived = (distance <= tol + roundoff) | at_floor
        lost = ~arrived & (too_far | (w.corrections + 1 >= MAX_CORRECTORS))

        tangent = jnp.append(-along_s, 1.0)
        tangent = tangent / jnp.linalg.norm(tangent)
        # The first trial (h = 0) has no earlier direction: s increases.
        forward = jnp.where(w.fresh, 1.0, jnp.dot(tangent, w.tangent))
        tangent = tangent * jnp.where(forward < 0, -1, 1)
        # At a bifurcation itself the sign is only roundoff.
        singular = jnp.linalg.norm(towards_kernel) * jnp.sqrt(eps) > 0.01 * jnp.linalg.norm(seed)
        flipped = arrived & (sign * jnp.sign(tangent[d]) < 0) & ~w.switching & ~(w.landing & singular)
        probe = jnp.dot(seed, towards_kernel)
        unchecked = w.landing & ~w.careful
        passed = count(linear.core, w.core, unchecked, arrived & (w.landing | w.careful | (probe * w.probe < 0)))
        leapt = arrived & (passed >= 2) & ~unchecked & ~w.fresh & ~w.switching & ~(w.landing & singular)
        sharp = arrived & (jnp.abs(forward) < MIN_COSINE) & ~w.landing & ~w.switching
        blind = arrived & ~w.landing & ~jnp.all(jnp.isfinite(tangent))
        refused = lost | flipped | leapt | sharp | blind
        accepted = arrived & ~refused

        growth = jnp.clip(jnp.cbrt(AIM / jnp.maximum(first_distance, 1e-6)), 0.5, GROWTH)
        growth = jnp.where(w.fresh, 1.0, growth)
        bend = jnp.where(w.switching | w.fresh, 0.0, (tangent - w.tangent) / w.h)
        on = w._replace(v=v, s=s, tangent=tangent, bend=bend, h=w.h * growth, core=linear.core, probe=probe)
        on = on._replace(fresh=jnp.zeros_like(w.fresh))
        on = predict(on)
        crossed = accepted & ~w.landing & (s > end)
        fraction = (end - w.s) / jnp.where(crossed, s - w.s, 1)
        # Along a branch that leaves a bifurcation, v - v0 grows as the square root of s - s0.
        fraction = jnp.where(w.switching, jnp.sqrt(jnp.maximum(fraction, 0)), fraction)
        land = w._replace(
            trial_v=w.v + fraction * (v - w.v),
            trial_s=end,
            landing=jnp.ones_like(w.landing),
            switching=jnp.zeros_like(w.switching),
            corrections=jnp.zeros_like(w.corrections),
        )
        back = predict(w._replace(h=w.h * SHRINK))
        turn = switch(w, towards_kernel)
        stay = w._replace(trial_v=v, trial_s=s, corrections=w.corrections + 1, last_distance=distance)

        pitchfork = flipped & (w.h < at_bifurcation)
        fork = leapt & (w.h < at_bifurcation**2) & (w.nudge == 0)
        doubtful = accepted & unchecked & (passed >= 2)
        again = begin(jnp.where(fork, NUDGE, w.nudge), jnp.asarray(True))
        new = jax.tree.map(
            lambda *x: jnp.select([crossed, doubtful | fork, accepted, pitchfork, refused], x[:-1], x[-1]),
            land, again, on, turn, back, stay,
        )  # fmt: skip
        iterations = w.iterations + 1
        status = jnp.where(
            accepted & w.landing & ~doubtful,
            CONVERGED,
            jnp.where(
                refused & ~pitchfork & ~fork & (w.h < shortest),
                STALLED,
                jnp.where(iterations >= max_iterations, OUT_OF_STEPS, _WALKING),
            ),
        )
        kept = {"first_distance": first_distance, "iterations": iterations, "passed": passed}
        return new._replace(**kept, status=status.astype(jnp.int32))

    def unstable(walk: _Walk) -> Int[Array, ""]:
        """How many directions lead away from the end, where not all that have passed zero since the start were counted
        there."""
        if m <= EXPLICIT:
            return negative_directions(walk.core)
        look = lambda _: (jnp.asarray(False), negative_directions(walk.core))
        counted = ~walk.careful & (walk.status == CONVERGED)
        return jax.lax.while_loop(lambda carry: carry[0], look, (~counted, walk.passed))[1]

    walk = begin(jnp.zeros((), dtype), jnp.asarray(m <= EXPLICIT))
    walk = walk._replace(status=jnp.where(False if known is None else known, CONVERGED, _WALKING).astype(jnp.int32))
    walk = jax.lax.while_loop(lambda w: w.status == _WALKING, body, walk)
    return PathResult(walk.v, walk.status, walk.iterations, unstable(walk), walk.forked)
