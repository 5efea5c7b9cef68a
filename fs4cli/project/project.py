"""The project folder: every path in it, and which stage stands on which.

One folder a stage, named as its command; docs/project-folder.md shows the tree.
"""

from dataclasses import dataclass
from pathlib import Path

STAGES = ("ingest", "pretrain", "cluster", "train", "predict", "evaluate")

NEEDS: dict[str, tuple[str, ...]] = {
    "ingest": (),
    "pretrain": ("ingest",),
    "cluster": ("ingest", "pretrain"),
    "train": ("ingest", "pretrain", "cluster"),
    "predict": ("train",),
    "evaluate": ("train",),
}
"""The stages whose results a stage reads."""


@dataclass(frozen=True)
class Project:
    """Where everything of one project lies.

    Args:
        root: The project folder, which holds `fs4.yaml`.
    """

    root: Path

    @property
    def settings_path(self) -> Path:
        """`fs4.yaml`, the user's to edit."""
        return self.root / "fs4.yaml"

    @property
    def plan_path(self) -> Path:
        """`plan.json`: what was planned from the data and the machine, with a reason per value."""
        return self.root / "plan.json"

    @property
    def lock_path(self) -> Path:
        """The file whose kernel lock the one writer holds."""
        return self.root / ".fs4" / "lock"

    @property
    def logs(self) -> Path:
        """`fs4.log` and crash files."""
        return self.root / "logs"

    def stage(self, stage: str) -> Path:
        """The folder of a stage."""
        return self.root / stage

    def record(self, stage: str) -> Path:
        """`record.json` of a stage."""
        return self.root / stage / "record.json"

    def checkpoints(self, stage: str) -> Path:
        """The folder of a stage's checkpoints."""
        return self.root / stage / "checkpoints"

    def metrics(self, stage: str) -> Path:
        """`metrics.jsonl` of a stage: one line a logged step, every step once."""
        return self.root / stage / "metrics.jsonl"

    @property
    def index(self) -> Path:
        """The image index, one JSON line an image."""
        return self.root / "ingest" / "index.jsonl"

    @property
    def quarantine(self) -> Path:
        """The images left out, with a reason each."""
        return self.root / "ingest" / "quarantine.csv"

    @property
    def cache(self) -> Path:
        """The folder of decoded images that training reads memory-mapped."""
        return self.root / "ingest" / "cache"

    @property
    def pretrained(self) -> Path:
        """Weights of the pretrained dense network (safetensors)."""
        return self.root / "pretrain" / "network.safetensors"

    @property
    def model(self) -> Path:
        """The trained segmenter: one safetensors file; `model.json` beside it."""
        return self.root / "train" / "model.safetensors"
