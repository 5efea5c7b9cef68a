"""What the plan looks at: the images, the machine, and how many classes there are.

In: the project and the settings. Out: `Facts` for the rules of `fs4cli.project.plan`, and what can only be found out by
looking at the images themselves.
"""

from fs4cli.config import Settings
from fs4cli.data.cache import ImageCache
from fs4cli.data.index import read_index
from fs4cli.errors import ProjectError
from fs4cli.machine import usable_cores
from fs4cli.progress import Progress
from fs4cli.project.plan import PRESETS, Facts, Planned
from fs4cli.project.project import Project
from fs4cli.project.record import recorded_value

ASSIGN_AT = 1.5
"""How much larger than the training window images are looked at when pixels are assigned: views were enlarged nearly as
much in training, and features lie closer together there."""


def read_facts(project: Project, settings: Settings) -> Facts:
    """What the plan looks at: the index and the machine."""
    # these cost the import of torch: only a stage that runs pays it
    from fs4cli.data.detail import measure_detail
    from fs4cli.model.device import choose_device, choose_precision, describe_device, device_memory

    device = choose_device(settings.device)
    entries = [entry for entry in read_index(project.index) if entry.state == "ok"]
    if not entries:
        raise ProjectError("the index holds no usable image", hints=("run `fs4 ingest --images DIR`",))
    cache = ImageCache.open(project.cache)
    sides = sorted({side for preset in PRESETS.values() for side in (preset.size, preset.largest)})
    detail = measure_detail(cache, sides, seed=settings.seed)
    height, width = sorted(cache.sizes[:, 0].tolist()), sorted(cache.sizes[:, 1].tolist())
    return Facts(
        images=len(entries),
        height=height[len(entries) // 2],
        width=width[len(entries) // 2],
        grey_share=sum(entry.is_grey for entry in entries) / len(entries),
        classes=settings.classes if isinstance(settings.classes, int) else 0,
        device=device.type,
        device_name=describe_device(device),
        cores=usable_cores(),
        memory=device_memory(device),
        precision=choose_precision(settings.precision, device),
        detail=detail,
    )


def plan_classes(project: Project, stage: str, settings: Settings, progress: Progress) -> Planned:
    """How many classes `auto` comes to: found out once, before cells are grouped."""
    if stage != "cluster":
        return Planned(recorded_value(project, "cluster", "classes"), "as in cluster")
    from fs4cli.training.class_count import count_classes

    cache = ImageCache.open(project.cache)
    side = look_larger(recorded_value(project, "pretrain", "pretrain.window"), ASSIGN_AT, cache.short_side)
    progress.say("cluster: finding out how many classes there are")
    found = count_classes(cache, short_side=side, seed=settings.seed, progress=progress)
    progress.say(f"cluster: {found.count} classes, {found.explain()}")
    return Planned(found.count, found.explain())


def look_larger(window: int, times: float, largest: int) -> int:
    """A training window's side times `times`, in steps of 32, but no larger than the decoded copies."""
    return max(window, min(round(window * times / 32) * 32, largest // 32 * 32))
