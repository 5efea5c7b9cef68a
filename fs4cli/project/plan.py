"""`plan.json`: what every `auto` came to, with a reason per value. Pure rules over facts; no torch.

In: facts about the images and the machine. Out: values by dotted setting, each with one line of why. As nnU-Net writes
its plans: a file one can open, and change the settings against.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from fs4cli.errors import ProjectError
from fs4cli.files import read_json, write_json
from fs4cli.project.project import Project

_SCHEMA = "fs4.plan/1"


@dataclass(frozen=True)
class Facts:
    """What the plan looks at.

    Args:
        images: Usable images.
        height: Median height of the cached copies, in pixels.
        width: Median width of the same.
        grey_share: Share of the images without colour.
        classes: Classes asked for; 0 where they are still to be counted.
        device: "cpu", "cuda" or "mps".
        device_name: As a person calls it.
        cores: Processor cores this process may use.
        memory: Bytes this process may use (of the GPU, where there is one).
        precision: What the device computes fast: "bf16", "fp16" or "fp32".
        detail: For each short side, the share of the images' variance that features still tell at that size.
    """

    images: int
    height: int
    width: int
    grey_share: float
    classes: int
    device: str
    device_name: str
    cores: int
    memory: int
    precision: str
    detail: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """One planned value and why it is so."""

    value: Any
    reason: str


@dataclass(frozen=True)
class _Preset:
    backbone: str
    crop: int
    size: int
    largest: int
    batch: int
    pretrain_images: int
    train_images: int


DETAIL = 0.85
"""Share of the variance that must be left after shrinking: below it, texture is lost that may tell classes apart."""

VIEWS = 4
"""Windows of an image that training sees, at least: images that it sees less often are not worth assigning."""

FEWEST_IMAGES = 200
"""Are clustered and learned from, however short training is."""

# crop: of the views; size, largest: short side at which images are looked at, at least and at most;
# *_images: how many windows a stage sees in all, where no budget says otherwise
PRESETS = {
    "tiny": _Preset("resnet10t", 48, 64, 64, 8, 320, 320),
    "small": _Preset("resnet18", 96, 128, 256, 32, 32_000, 20_000),
    "base": _Preset("resnet34", 160, 192, 384, 64, 400_000, 200_000),
    "large": _Preset("resnet50", 224, 256, 512, 128, 2_000_000, 800_000),
}


def choose_preset(facts: Facts) -> Planned:
    """The size that fits the machine."""
    if facts.device == "cpu":
        return Planned("small", f"{facts.device_name} with {facts.cores} cores: small crops and ResNet-18")
    gigabytes = facts.memory / 2**30
    if gigabytes >= 24 and facts.images >= 20_000:
        return Planned("large", f"{facts.device_name}, {gigabytes:.0f} GB, and {facts.images} images")
    return Planned("base", f"{facts.device_name}, {gigabytes:.0f} GB")


def plan_values(
    facts: Facts, preset: str, *, grids: tuple[int, ...] = (1, 2, 4), train_steps: int | None = None
) -> dict[str, Planned]:
    """Every planned setting, by dotted key.

    Args:
        facts: About images and machine.
        preset: "tiny", "small", "base" or "large".
        grids: Cells per side of each pyramid level.
        train_steps: Of train, where somebody chose them.
    """
    chosen = PRESETS[preset]
    window = choose_window(facts, chosen.size, chosen.largest)
    size = window.value
    crop = max(32, min(chosen.crop, size * 3 // 4) // 32 * 32)
    batch = max(2, min(chosen.batch, 4 * facts.images))
    why = f"preset {preset}"
    clusters = tuple(
        max(2, min(2 * level * facts.classes, grid**2 * facts.images // 10)) for level, grid in enumerate(grids, 1)
    )
    windows = chosen.train_images if train_steps is None else train_steps * batch
    learned = max(FEWEST_IMAGES, windows // VIEWS)
    return {
        "model.backbone": Planned(chosen.backbone, why),
        "precision": Planned(facts.precision, f"the fastest number format of {facts.device_name}"),
        "pretrain.window": window,
        "pretrain.crop": Planned(crop, f"{why}; at most three quarters of the window, so that two views overlap"),
        "pretrain.batch_size": Planned(batch, why),
        "pretrain.steps": Planned(
            max(20, chosen.pretrain_images // batch), f"{why}: {chosen.pretrain_images} windows; a budget overrides it"
        ),
        "cluster.images": Planned(facts.images, "all of them")
        if learned >= facts.images
        else Planned(learned, f"training sees {windows} windows, {VIEWS} of each of these"),
        "cluster.clusters": Planned(
            clusters, "2, 4, 6, ... times the classes on images and patches, with at least 10 cells a cluster"
        ),
        "train.window": window,
        "train.crop": Planned(crop, "as in pretrain"),
        "train.batch_size": Planned(batch, why),
        "train.steps": Planned(
            max(20, chosen.train_images // batch), f"{why}: {chosen.train_images} windows; a budget overrides it"
        ),
    }


def choose_window(facts: Facts, smallest: int, largest: int) -> Planned:
    """The short side at which the network looks: the smallest that keeps the images' texture.

    Args:
        facts: About the images.
        smallest: Short side to begin with, in pixels.
        largest: Short side to end with.
    """
    short = max(32, min(facts.height, facts.width) // 32 * 32)
    smallest, largest = min(smallest, short), min(largest, short)
    for side in sorted(facts.detail):
        if smallest <= side <= largest and facts.detail[side] >= DETAIL:
            return Planned(side, f"at this size features still tell {facts.detail[side]:.0%} of the images' variance")
    told = f", where they tell {facts.detail[largest]:.0%}" if largest in facts.detail else ""
    return Planned(largest, f"the largest this preset allows: fine texture is lost at smaller sizes{told}")


def read_plan(project: Project) -> dict[str, Any]:
    """The plan as written, or an empty one.

    Raises:
        ProjectError: The file is damaged.
    """
    try:
        plan = read_json(project.plan_path)
    except FileNotFoundError:
        return {"schema": _SCHEMA, "facts": {}, "values": {}}
    if not isinstance(plan, dict) or not isinstance(plan.get("values"), dict) or plan.get("schema") != _SCHEMA:
        raise ProjectError(
            f"`{project.plan_path}` is no plan of this version ({_SCHEMA})",
            hints=("delete it: what was planned is in the records too, and the next stage that runs writes it anew",),
        )
    return plan


def write_plan(project: Project, facts: Facts, values: dict[str, Planned]) -> None:
    """Add planned values to `plan.json`; what other stages planned stays."""
    plan = read_plan(project)
    plan["facts"] = asdict(facts)
    plan["values"].update({key: asdict(planned) for key, planned in values.items()})
    write_json(project.plan_path, plan)
