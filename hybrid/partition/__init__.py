"""Decide which op runs where, and say why."""

from hybrid.partition.plan import Crossing, Placement, Plan, make_plan

__all__ = ["Crossing", "Placement", "Plan", "make_plan"]
