"""The rounds of FS^4: assign every pixel to a cluster, learn from that, assign anew with what was learned.

In: what makes assignments, an objective. Out: the objective, trained. A round whose assignment is there is not trained
again, so that a killed run ends as one left alone; one that collapsed is taken back.

Follows: FS^4's abstract: a "bootstrapped training scheme" of pixel clustering and assignments under pyramid guidance.
Ours: what a round is, docs/method.md section 3.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from fs4cli.clustering.health import Collapse, Health, find_collapse
from fs4cli.training.assigning import Assigner
from fs4cli.training.assignment import Assignment, guide
from fs4cli.training.fit import FitResult
from fs4cli.training.round_fit import FitRound
from fs4cli.training.segmentation import Segmentation


@dataclass(frozen=True)
class Rounds:
    """Trains in rounds.

    Args:
        assigner: Makes the assignment of each.
    """

    assigner: Assigner

    def teach(self, objective: Segmentation, assignment: Assignment) -> None:
        """Let the objective learn from an assignment."""
        guidance = guide(assignment, self.assigner.pyramid) if self.assigner.is_guided else []
        shares, sureness = (torch.from_numpy(values).float() for values in (assignment.shares, assignment.sureness))
        objective.set_round(assignment.label_maps, shares, sureness, guidance)

    def run(
        self, objective: Segmentation, first: Assignment, *, rounds: int, fit_until: FitRound, begun: int = 1
    ) -> tuple[list[FitResult], Assignment, Health]:
        """Train for all rounds, or go on where it stopped.

        A round whose assignment collapsed is taken back: the next one learns from the assignment before it, with the
        weights that made that one, and with the objective strengthened against what happened.

        Args:
            objective: Fresh; its segmenter's average makes the later assignments.
            first: Of the first round.
            rounds: How many.
            fit_until: See `FitRound`.
            begun: The round that training is in, by its newest checkpoint. One before that of the newest assignment if
                later checkpoints were damaged or replaced: then it is trained again, as it was.

        Returns:
            What each round of this run did, the assignment that was learned from last, and the health of what the
            finished segmenter makes of it.

        Raises:
            Interrupted: A signal asked to stop; all is saved.
        """
        parts: list[FitResult] = []
        start = {name: value.clone() for name, value in objective.segmenter.state_dict().items()}
        current, healthy, go_back = first, 1, False

        def take_back() -> None:
            objective.restore(start if healthy == 1 else self.assigner.read_network(healthy))

        def fit_round(number: int) -> None:
            self.teach(objective, current)
            parts.append(fit_until(number, take_back if go_back else None))

        for number in range(1, rounds):
            # an assignment that is there was made from a finished round, which need not be trained again
            following = self.assigner.read(number + 1)
            if following is None or number >= begun:
                fit_round(number)
            if following is None:
                following = self.assigner.assign_anew(objective.average, number + 1, current)
            self.assigner.progress.say(f"train: assignment {number + 1}: {following.health.explain()}")
            collapse = find_collapse(current.health, following.health)
            go_back = collapse is not None
            if collapse is None:
                current, healthy = following, number + 1
            else:
                self._warn(collapse, objective.strengthen(collapse.kind))
        fit_round(rounds)
        return parts, current, self._judge(objective, current, take_back if rounds > 1 and healthy > 1 else None)

    def _judge(self, objective: Segmentation, learned: Assignment, take_back: Callable[[], None] | None) -> Health:
        """The health of the finished segmenter; of the one before the last round, if the last made it collapse."""
        objective.average.eval()
        found = self.assigner.look(objective.average, learned)
        collapse = find_collapse(found.before, found.now)
        if collapse is not None and take_back is not None:
            self.assigner.progress.warn(f"in the last round {collapse.words}; the model is the one from before it")
            take_back()
            found = self.assigner.look(objective.average, learned)
        elif collapse is not None:
            self.assigner.progress.warn(f"{collapse.words}; look at the masks before you use them")
        if found.lost:
            named = ", ".join(f"class-{cluster}" for cluster in found.lost)
            self.assigner.progress.warn(
                f"the finished model hardly sees {named}, which the grouping had found; more time (`--budget`) or "
                "fewer classes (`--classes`) may help"
            )
        health = replace(learned.health, view_agreement=found.now.view_agreement, round_nmi=found.now.round_nmi)
        self.assigner.progress.say(f"train: finished: {health.explain()}")
        return health

    def _warn(self, collapse: Collapse, changes: str) -> None:
        self.assigner.progress.warn(
            f"{collapse.words}; training goes back to the assignment and the weights of the round before, "
            f"with {changes}"
        )
