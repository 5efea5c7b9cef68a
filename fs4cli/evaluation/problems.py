"""Labels that cannot be scored, and how to name them without filling the screen."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A label that cannot be scored.

    Args:
        name: The label's path below the folder of labels.
        reason: Why, in a few words.
    """

    name: str
    reason: str


def list_problems(problems: Sequence[Problem], *, most: int = 10) -> tuple[str, ...]:
    """A line a problem, sorted by name; after `most` of them, how many more there are."""
    lines = [f"`{problem.name}`: {problem.reason}" for problem in sorted(problems, key=lambda bad: bad.name)]
    more = len(lines) - most
    return (*lines[:most], f"and {more} more") if more > 0 else tuple(lines)


def list_names(names: Sequence[str], *, most: int = 3) -> str:
    """Names in one line; after `most` of them, how many more there are."""
    more = len(names) - most
    return ", ".join(f"`{name}`" for name in names[:most]) + (f" and {more} more" if more > 0 else "")
