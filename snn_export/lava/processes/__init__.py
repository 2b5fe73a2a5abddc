"""Lava processes of ours, each with its process model in the same file.

Lava's compiler executes every file of this folder once per process it compiles: they import with absolute
paths and do nothing else.
"""
