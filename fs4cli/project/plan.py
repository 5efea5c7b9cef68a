"""`plan.json`: what every `auto` came to, with a reason per value. Pure rules over facts; no torch.

In: facts about the images and the machine. Out: values by dotted setting, each with one line of why. As nnU-Net writes
its plans: a file one can open, and change the settings against.
"""

from dataclasses import asdict, dataclass
from typing import Any

from fs4cli.files import read_json, write_json
from fs4cli.project.project import Project


@dataclass(frozen=True)
class Facts:
    """What the plan looks at.

    Args:
        images: Usable images.
        height: Median height of the cached copies, in pixels.
        width: Median width of the same.
        grey_share: Share of the images without colour.
        classes: Classes asked for.
        device: "cpu", "cuda" or "mps".
        device_name: As a person calls it.
        cores: Processor cores this process may use.
        memory: Bytes this process may use (of the GPU, where there is one).
        precision: What the device computes fast: "bf16", "fp16" or "fp32".
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


@dataclass(frozen=True)
class Planned:
    """One planned value and why it is so."""

    value: Any
    reason: str


@dataclass(frozen=True)
class _Preset:
    backbone: str
    size: int
    batch: int
    pretrain_images: int
    train_images: int


# images: how many windows a stage sees in all, where no budget says otherwise
PRESETS = {
    "tiny": _Preset("resnet10t", 64, 8, 320, 320),
    "small": _Preset("resnet18", 128, 32, 32_000, 20_000),
    "base": _Preset("resnet34", 192, 64, 400_000, 200_000),
    "large": _Preset("resnet50", 256, 128, 2_000_000, 800_000),
}


def choose_preset(facts: Facts) -> Planned:
    """The size that fits the machine."""
    if facts.device == "cpu":
        return Planned("small", f"{facts.device_name} with {facts.cores} cores: small crops and ResNet-18")
    gigabytes = facts.memory / 2**30
    if gigabytes >= 24 and facts.images >= 20_000:
        return Planned("large", f"{facts.device_name}, {gigabytes:.0f} GB, and {facts.images} images")
    return Planned("base", f"{facts.device_name}, {gigabytes:.0f} GB")


def plan_values(facts: Facts, preset: str) -> dict[str, Planned]:
    """Every planned setting, by dotted key.

    Args:
        facts: About images and machine.
        preset: "tiny", "small", "base" or "large".
    """
    chosen = PRESETS[preset]
    short = min(facts.height, facts.width)
    size = max(32, min(chosen.size, short) // 32 * 32)
    crop = max(32, size * 3 // 4 // 32 * 32)
    batch = max(2, min(chosen.batch, 4 * facts.images))
    why = f"preset {preset}"
    small_side = f"{why}; images are {facts.height} x {facts.width} at the median"
    levels = (2, 4, 6)
    cells = (facts.images, 4 * facts.images, 16 * facts.images)
    clusters = tuple(
        max(2, min(times * facts.classes, count // 10)) for times, count in zip(levels, cells, strict=True)
    )
    return {
        "model.backbone": Planned(chosen.backbone, why),
        "precision": Planned(facts.precision, f"the fastest number format of {facts.device_name}"),
        "pretrain.window": Planned(size, small_side),
        "pretrain.crop": Planned(crop, "three quarters of the window, so that two views overlap"),
        "pretrain.batch_size": Planned(batch, why),
        "pretrain.steps": Planned(
            max(20, chosen.pretrain_images // batch), f"{why}: {chosen.pretrain_images} windows; a budget overrides it"
        ),
        "cluster.clusters": Planned(
            clusters, "2, 4 and 6 times the classes on images and patches, with at least 10 cells a cluster"
        ),
        "train.window": Planned(size, small_side),
        "train.crop": Planned(crop, "three quarters of the window"),
        "train.batch_size": Planned(batch, why),
        "train.steps": Planned(
            max(20, chosen.train_images // batch), f"{why}: {chosen.train_images} windows; a budget overrides it"
        ),
    }


def read_plan(project: Project) -> dict[str, Any]:
    """The plan as written, or an empty one."""
    try:
        return read_json(project.plan_path)
    except FileNotFoundError:
        return {"schema": "fs4.plan/1", "facts": {}, "values": {}}


def write_plan(project: Project, facts: Facts, values: dict[str, Planned]) -> None:
    """Add planned values to `plan.json`; what other stages planned stays."""
    plan = read_plan(project)
    plan["facts"] = asdict(facts)
    plan["values"].update({key: asdict(planned) for key, planned in values.items()})
    write_json(project.plan_path, plan)
