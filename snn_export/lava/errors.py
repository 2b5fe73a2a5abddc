"""The one error of the Lava backend."""

from __future__ import annotations


class LavaError(RuntimeError):
    """A run in Lava that could not be made or did not end well.

    Attributes:
        where: the lowering or the file concerned.
        what: what went wrong; for a failure inside Lava, its message and the tail of its traceback.
        fix: how to go on.
        exit_code: 1 the work failed or took too long; 2 the lowering cannot express the network; 5 Lava is
            not installed.
    """

    def __init__(self, where: str, what: str, fix: str, exit_code: int = 1) -> None:
        self.where, self.what, self.fix, self.exit_code = where, what, fix, exit_code
        super().__init__(f"{what}\n  where: {where}\n  fix:   {fix}")
