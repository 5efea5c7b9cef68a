"""How grey of more than 8 bits becomes 8: what images are read by, and what a model remembers of it."""

from typing import Literal

Scaling = Literal["", "range", "stretch"]
"""By the whole range of its format, or stretched by percentile; empty where there is no choice, or nobody made one."""
