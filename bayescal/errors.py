"""Errors for bad input: a sentence that says where the fault is, what was found, and what to do."""


class InputError(ValueError):
    """The input cannot be used. The message has one sentence for each fault, and all faults together.

    Example:
        >>> import bayescal as bc
        >>> try:
        ...     bc.get_game("stag-hut")
        ... except bc.InputError as error:
        ...     print(error)
        There is no game called 'stag-hut': did you mean stag-hunt?
    """


class WriteError(InputError):
    """A file or a folder cannot be written. What was there is unchanged."""


class DomainError(InputError):
    """A value outside the trained domain of a policy.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.load_model("cournot")
        >>> try:
        ...     bc.simulate(policy, cost=1e6, phi={"log_mean": 5.0, "log_sd": 0.5}, groups=1)
        ... except bc.DomainError as error:
        ...     print(str(error)[:41])
        cost is 1e+06, outside the trained domain
    """
