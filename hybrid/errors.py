"""The errors a user meets: what is wrong, where, how to fix it, and the exit code of the command."""

from __future__ import annotations


class HybridError(Exception):
    """Root of the errors of this package; the work failed.

    Attributes:
        where: the file, layer or setting.
        what: what is wrong there.
        fix: how to repair it.
        exit_code: what the command line returns.
    """

    exit_code = 1

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.where, self.what, self.fix = where, what, fix
        super().__init__(f"{what}\n  where: {where}\n  fix:   {fix}")

    def __reduce__(self) -> tuple[type[HybridError], tuple[str, str, str]]:
        """Made anew from its three parts when it travels between processes."""
        return type(self), (self.where, self.what, self.fix)


class BadInputError(HybridError):
    """A file, name or value that cannot be used."""

    exit_code = 2


class IllegalPlanError(HybridError):
    """A pin or a plan that a target cannot carry out."""

    exit_code = 3


class VerificationError(HybridError):
    """Two things that must be equal are not."""

    exit_code = 4
