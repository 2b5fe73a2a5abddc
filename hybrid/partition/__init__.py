"""Decide which op runs where, and say why."""

from hybrid.partition.plan import Aim, Crossing, Placement, Plan, make_plan

__all__ = ["Aim", "Crossing", "Placement", "Plan", "make_plan"]
