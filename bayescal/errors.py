"""One kind of error for bad input: a clear sentence that says where, what was found, and what to do."""


class InputError(ValueError):
    """What the user gave cannot be used; the message is one sentence per offender, all offenders at once.

    Example:
        >>> import bayescal as bc
        >>> try:
        ...     bc.get_game("stag-hut")
        ... except bc.InputError as error:
        ...     print(error)
        There is no game called 'stag-hut': did you mean stag-hunt?
    """


class DomainError(InputError):
    """A value outside the box that a policy answers for.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.load_model("cournot")
        >>> try:
        ...     bc.simulate(policy, cost=1e6, phi={"log_mean": 5.0, "log_sd": 0.5}, groups=1)
        ... except bc.DomainError as error:
        ...     print(str(error)[:40])
        cost is 1e+06, outside the box [2.5, 250
    """
