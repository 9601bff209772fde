"""Follow a curve of solutions F(v, s) = 0 from (v0, 0) to s = end, without jumping to another curve.

Pseudo-arclength predictor-corrector (Allgower & Georg 1990, ch. 6; Turocy 2005 for logit equilibria): the
curve is parametrised by its length, so it is also followed where it turns back in s (a fold). The **orientation**
tells curves apart: along one curve the product sign(det F_v) · sign(ds/dlength) never changes (at a fold both signs
change). If the corrector lands on a neighbouring curve the product has the other sign; the step is then rejected and
repeated with a shorter length. If the sign changes at every length, the point is a bifurcation (a symmetric game's
pitchfork). Any generic perturbation of the game then leaves one half-branch along the kernel of F_v; it is followed
in the direction of `tie_break`.

Everything is one `while_loop` whose body is one Newton iteration, so that under `vmap` no game waits for
another's corrector.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# rhs -> (F_v⁻¹ rhs, sign of det F_v)
Solve = Callable[[Float[Array, "d k"]], tuple[Float[Array, "d k"], Float[Array, ""]]]
# (v, s) -> (F, how to solve for F_v, F_s)
Linearise = Callable[[Float[Array, " d"], Float[Array, ""]], tuple[Float[Array, " d"], Solve, Float[Array, " d"]]]

CONVERGED, STALLED, OUT_OF_STEPS, _WALKING = 0, 1, 2, -1
MESSAGES = {
    CONVERGED: "converged",
    STALLED: "stalled: the step became too small before the target cost was reached",
    OUT_OF_STEPS: "out of steps before the target cost was reached",
}

MAX_CORRECTION = 0.7  # a longer first correction (in logits) means that the prediction was poor
AIM = 0.3  # the first correction that the step length aims at
CONTRACTION = 0.5  # every further correction must be this much shorter
MAX_CORRECTORS = 6
MIN_COSINE = 0.6  # between one tangent and the next
GROWTH, SHRINK = 4.0, 0.35


class PathResult(eqx.Module):
    """The end of the curve: the point, the outcome, and the number of Newton iterations."""

    point: Float[Array, " d"]
    status: Int[Array, ""]
    iterations: Int[Array, ""]


class _Walk(NamedTuple):
    """The last accepted point (v, s), the curve's direction there, and the trial point being corrected."""

    v: Float[Array, " d"]
    s: Float[Array, ""]
    tangent: Float[Array, " d+1"]
    bend: Float[Array, " d+1"]  # change of the tangent per unit length: the quadratic part of the predictor
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


def follow_path(
    linearise: Linearise,
    start: Float[Array, " d"],
    end: Float[Array, ""],
    *,
    tie_break: Float[Array, " d"],
    first_step: float = 0.5,
    max_iterations: int = 1000,
    known: Bool[Array, ""] | None = None,
) -> PathResult:
    """Follow F(v, s) = 0 from F(start, 0) = 0 to the first point with s = end.

    Args:
        linearise: F and its derivatives at (v, s), scaled so that a unit of v is a logit and a unit of s moves
            v by about one.
        start: the solution at s = 0, where F_v is the identity.
        end: where to stop, > 0; of any size, since steps grow geometrically where the curve is straight.
        tie_break: at a symmetric bifurcation, the direction that the branch should go along.
        known: whether the end is known from elsewhere, so that nothing need be followed. Under `vmap` only the other
            members of the batch cost time.
    """
    dtype = start.dtype
    eps = jnp.finfo(dtype).eps
    fine = dtype == jnp.float64
    tol_path = 1e-2
    tol_end = 1e-10 if fine else 1e-5
    shortest = 1e-9 if fine else 1e-4
    at_bifurcation = 1e-2 if fine else 3e-2  # below this, roundoff decides which branch is found
    d = start.shape[0]
    end = jnp.asarray(end, dtype)
    unit_s = jnp.zeros(d + 1, dtype).at[d].set(1)

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

    # The start of the inverse iteration: near `tie_break`, but orthogonal to no kernel.
    seed = tie_break + 1e-3 * jnp.cos(jnp.arange(1, d + 1, dtype=dtype))

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
        )

    def body(w: _Walk) -> _Walk:
        f, solve, f_s = linearise(w.trial_v, w.trial_s)
        solved, sign = solve(jnp.stack([f, f_s, seed], axis=1))
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
        forward = jnp.where(w.iterations == 0, 1.0, jnp.dot(tangent, w.tangent))
        tangent = tangent * jnp.where(forward < 0, -1, 1)
        # At a bifurcation itself the sign is only roundoff.
        singular = jnp.linalg.norm(towards_kernel) * jnp.sqrt(eps) > 0.01 * jnp.linalg.norm(seed)
        flipped = arrived & (sign * jnp.sign(tangent[d]) < 0) & ~w.switching & ~(w.landing & singular)
        sharp = arrived & (jnp.abs(forward) < MIN_COSINE) & ~w.landing & ~w.switching
        blind = arrived & ~w.landing & ~jnp.all(jnp.isfinite(tangent))
        refused = lost | flipped | sharp | blind
        accepted = arrived & ~refused

        growth = jnp.clip(jnp.cbrt(AIM / jnp.maximum(first_distance, 1e-6)), 0.5, GROWTH)
        growth = jnp.where(w.iterations == 0, 1.0, growth)
        bend = jnp.where(w.switching | (w.iterations == 0), 0.0, (tangent - w.tangent) / w.h)
        on = w._replace(v=v, s=s, tangent=tangent, bend=bend, h=w.h * growth)
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
        new = jax.tree.map(
            lambda *x: jnp.select([crossed, accepted, pitchfork, refused], x[:-1], x[-1]),
            land, on, turn, back, stay,
        )  # fmt: skip
        iterations = w.iterations + 1
        status = jnp.where(
            accepted & w.landing,
            CONVERGED,
            jnp.where(
                refused & ~pitchfork & (w.h < shortest),
                STALLED,
                jnp.where(iterations >= max_iterations, OUT_OF_STEPS, _WALKING),
            ),
        )
        return new._replace(first_distance=first_distance, iterations=iterations, status=status.astype(jnp.int32))

    zero = jnp.zeros((), dtype)
    begin = jnp.where(False if known is None else known, CONVERGED, _WALKING)
    walk = _Walk(
        v=start, s=zero, tangent=unit_s, bend=jnp.zeros(d + 1, dtype), h=jnp.asarray(first_step, dtype),
        trial_v=start, trial_s=zero, landing=jnp.asarray(False), switching=jnp.asarray(False),
        corrections=jnp.zeros((), jnp.int32), last_distance=zero, first_distance=zero,
        iterations=jnp.zeros((), jnp.int32), status=begin.astype(jnp.int32),
    )  # fmt: skip
    walk = jax.lax.while_loop(lambda w: w.status == _WALKING, body, walk)
    return PathResult(walk.v, walk.status, walk.iterations)
