"""Every constant of a run in one table, with its source."""

from __future__ import annotations

from hwsim.chip import Chip
from hwsim.quantity import Quantity
from hybrid.platform import Host, Link
from hybrid.report.model import ConstantRow


def chip_constants(chip: Chip) -> tuple[ConstantRow, ...]:
    """The chip's costs, but for those that are zero by definition."""
    rows = _rows(f"chip {chip.name}", chip.costs)
    for sync in getattr(chip.costs, "sync", ()):
        rows.append(
            ConstantRow(owner=f"chip {chip.name}", name=f"time_sync_from_{sync.tiles}_tiles", quantity=sync.time)
        )
    return tuple(rows)


def all_constants(chip: Chip, host: Host, link: Link) -> tuple[ConstantRow, ...]:
    """Chip, link and host, in this order."""
    return (*chip_constants(chip), *_rows(f"link {link.name}", link), *_rows(f"host {host.name}", host))


def _rows(owner: str, record: object) -> list[ConstantRow]:
    fields = type(record).model_fields  # type: ignore[attr-defined]
    values = {name: getattr(record, name) for name in fields}
    return [
        ConstantRow(owner=owner, name=name, quantity=value)
        for name, value in values.items()
        if isinstance(value, Quantity) and value.high > 0
    ]
