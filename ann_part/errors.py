"""What the ANN part refuses."""

from __future__ import annotations


class DeviceError(RuntimeError):
    """A device, or a way of computing on it, that was asked for and is not there.

    Attributes:
        where: the device or the option.
        what: what is wrong with it.
        fix: how to go on.
    """

    exit_code = 2

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.where, self.what, self.fix = where, what, fix
        super().__init__(f"{what}\n  where: {where}\n  fix:   {fix}")
