"""One kind of error for bad input: a clear sentence that says where, what was found, and what to do."""


class InputError(ValueError):
    """What the user gave cannot be used; the message is one sentence per offender, all offenders at once."""


class DomainError(InputError):
    """A value outside the box that a policy answers for."""
