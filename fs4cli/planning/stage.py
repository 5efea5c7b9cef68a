"""How every stage opens and closes: is it done, does it resume, is it stale; what does `auto` come to?

In: the project, the settings, what the images and the machine are. Out: settings without any `auto` for the stage to
run with (but for what `fs4cli.planning.budget` is to set), and its record.
"""

import shutil
from dataclasses import dataclass, replace
from typing import Any

from fs4cli.config import Settings, stage_settings, with_values
from fs4cli.errors import ConfigError, ProjectError
from fs4cli.files import remove_leftovers
from fs4cli.planning.facts import plan_classes, read_facts
from fs4cli.progress import Progress
from fs4cli.project.plan import PRESETS, Planned, choose_preset, plan_values, write_plan
from fs4cli.project.project import NEEDS, Project
from fs4cli.project.record import (
    Record,
    find_changes,
    finish_record,
    read_inputs,
    read_record,
    start_record,
    write_record,
)


@dataclass(frozen=True)
class OpenedStage:
    """A stage that may start.

    Args:
        record: Its record, already on disk.
        settings: Every setting it uses, without `auto`; but for steps and images, where a budget is to set them.
        is_done: The result is there and fits; nothing to do.
        is_resumed: It was stopped before and goes on.
    """

    record: Record
    settings: Settings
    is_done: bool
    is_resumed: bool


def open_stage(
    project: Project, stage: str, settings: Settings, *, progress: Progress, fresh: bool = False
) -> OpenedStage:
    """Decide whether a stage is done, resumes, or starts; plan what is `auto`; write its record.

    Args:
        project: Whose stage.
        stage: Its name.
        settings: As the user chose them.
        progress: Is told what resumes.
        fresh: Start over: what the stage made before is removed first.

    Raises:
        ProjectError: An earlier stage is missing, or the result is stale and `fresh` is not asked for.
        ConfigError: The settings contradict each other. Nothing was removed.
        ResourceError: There is no such device. Nothing was removed.
    """
    inputs = read_inputs(project, stage)
    record = None if fresh else read_record(project, stage)
    if record is None:
        return _start(project, stage, settings, inputs, progress)
    settings = keep_earlier_choices(settings, stage, record)
    changes = _find_record_changes(record, settings, inputs)
    if changes and _has_made_nothing(project, stage, record):
        return _start(project, stage, settings, inputs, progress)
    if changes:
        word = "finished" if record.state == "done" else "stopped"
        raise ProjectError(
            f"{stage} {word} with other settings or inputs",
            details=tuple(changes),
            hints=(f"`fs4 {stage} --fresh` starts over and removes `{project.stage(stage)}`", "or undo the change"),
        )
    done = record.state == "done"
    if not done:
        progress.say(f"{stage}: going on where it stopped")
    settings = _with_recorded(settings, stage, record.planned)
    return OpenedStage(record, settings, is_done=done, is_resumed=not done)


def close_stage(project: Project, opened: OpenedStage, *, outputs: dict[str, str], summary: dict[str, Any]) -> Record:
    """Write the record of a stage whose result is whole.

    Args:
        project: Whose stage.
        opened: From `open_stage`.
        outputs: A hash of each thing it made; together they are the result's fingerprint.
        summary: Numbers worth showing.
    """
    current = read_record(project, opened.record.stage) or opened.record
    record = finish_record(current, outputs=outputs, summary=summary)
    write_record(project, record)
    remove_leftovers(project.stage(record.stage))
    remove_leftovers(project.root, below=False)
    return record


def find_stage_changes(project: Project, stage: str, settings: Settings) -> list[str] | None:
    """Why what a stage made, or began, does not fit: its changes; empty if it fits; None if it has made nothing."""
    record = read_record(project, stage)
    if record is None or _has_made_nothing(project, stage, record):
        return None
    try:
        return _find_record_changes(record, settings, read_inputs(project, stage))
    except ProjectError as error:
        return [error.message]


def find_stale(project: Project, settings: Settings) -> dict[str, list[str]]:
    """The stages up to train that made, or began, what does not fit any more, each with the reasons.

    So is a stage that stands on one of these. Images that nobody has read again are taken to be as they were, and a
    stage that is not done, or gone, to come out as before.

    Raises:
        ProjectError: A record is damaged.
    """
    own: dict[str, list[str]] = {}
    stale: dict[str, list[str]] = {}
    for stage in ("pretrain", "cluster", "train"):
        record = read_record(project, stage)
        if record is None or _has_made_nothing(project, stage, record):
            continue
        before = {needed: read_record(project, needed) for needed in NEEDS[stage]}
        inputs = {needed: one.fingerprint for needed, one in before.items() if one is not None and one.state == "done"}
        own[stage] = _find_record_changes(record, settings, inputs)
        earlier = [f"{needed}: {reason}" for needed in NEEDS[stage] for reason in own.get(needed, ())]
        if own[stage] or earlier:
            stale[stage] = own[stage] or earlier
    return stale


def _find_record_changes(record: Record, settings: Settings, inputs: dict[str, str]) -> list[str]:
    kept = keep_earlier_choices(settings, record.stage, record)
    values, explicit = stage_settings(kept, record.stage)
    return find_changes(record, settings=values, explicit=explicit, inputs=inputs)


def keep_earlier_choices(settings: Settings, stage: str, record: Record) -> Settings:
    """The settings with those that the stage first ran with, chosen or defaults of that day, where nobody chooses now.

    So neither an option that is not typed again makes a result stale, nor an fs4 whose defaults are others.
    """
    values, explicit = stage_settings(settings, stage)
    earlier = {key: value for key, value in record.settings.items() if key in values and key not in explicit}
    return _with_recorded(settings, stage, earlier)


def _with_recorded(settings: Settings, stage: str, values: dict[str, Any]) -> Settings:
    """The settings with values from a stage's record, which anybody may have edited."""
    try:
        return with_values(settings, values) if values else settings
    except (ValueError, TypeError, AttributeError) as error:
        raise ProjectError(
            f"the record of {stage} holds a setting that this fs4 does not know",
            details=tuple(str(error).splitlines()[1:3]),
            hints=(f"restore it from a copy, or start over with `fs4 {stage} --fresh`",),
        ) from None


def remove_stage(project: Project, stage: str) -> None:
    """Remove everything a stage made; the record goes first, so that a kill leaves no record without its result.

    Pooled features stay: they know what they were made from, and another number of clusters needs the same ones.
    """
    folder = project.stage(stage)
    project.record(stage).unlink(missing_ok=True)
    for path in folder.iterdir() if folder.exists() else ():
        if path.name.startswith("level-"):
            for part in path.iterdir():
                if not part.name.startswith("features."):
                    part.unlink()
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _has_made_nothing(project: Project, stage: str, record: Record) -> bool:
    """Whether a stage was refused before it did any work, as for a backbone that does not exist."""
    return record.state != "done" and all(path == project.record(stage) for path in project.stage(stage).iterdir())


def _start(project: Project, stage: str, settings: Settings, inputs: dict[str, str], progress: Progress) -> OpenedStage:
    _check_levels(settings)
    _check_crops(settings)
    values, explicit = stage_settings(settings, stage)
    # the clock starts before the classes are counted: that is part of a budget
    record = start_record(stage, settings=values, explicit=explicit, inputs=inputs, seed=settings.seed)
    classes = plan_classes(project, stage, settings, progress) if values.get("classes") == "auto" else None
    facts = read_facts(project, settings if classes is None else with_values(settings, {"classes": classes.value}))
    preset = Planned(settings.preset, "chosen") if settings.preset in PRESETS else choose_preset(facts)
    steps = settings.train.steps if isinstance(settings.train.steps, int) else None
    plan = {
        "preset": preset,
        **plan_values(facts, preset.value, grids=settings.cluster.grids, train_steps=steps),
    }
    if classes is not None:
        plan["classes"] = classes
    if settings.budget is not None:
        for key in (f"{stage}.steps", "cluster.images"):
            plan.pop(key, None)  # `fs4cli.planning.budget` will measure what they cost
    wanted = {key: planned for key, planned in plan.items() if values.get(key) == "auto"}
    chosen = values.get("cluster.clusters")
    if isinstance(chosen, tuple) and "auto" in chosen:
        planned = plan["cluster.clusters"]
        merged = tuple(own if one == "auto" else one for one, own in zip(chosen, planned.value, strict=True))
        wanted["cluster.clusters"] = Planned(merged, planned.reason)
    # nothing is removed before all that may be refused has been looked at
    remove_stage(project, stage)
    # sections share the backbone: later stages must build the network that pretrain trained
    earlier = read_record(project, "pretrain")
    if earlier is not None and stage != "pretrain":
        shared = {key: value for key, value in earlier.planned.items() if key.startswith("model.")}
        wanted |= {key: Planned(value, "as in pretrain") for key, value in shared.items() if values.get(key) == "auto"}
    record = replace(record, planned={key: planned.value for key, planned in wanted.items()})
    write_plan(project, facts, wanted)
    write_record(project, record)
    return OpenedStage(record, with_values(settings, record.planned), is_done=False, is_resumed=False)


def _check_levels(settings: Settings) -> None:
    grids, clusters = settings.cluster.grids, settings.cluster.clusters
    if len(grids) == 0 or min(grids) < 1 or list(grids) != sorted(set(grids)):
        raise ConfigError(
            f"cluster.grids {list(grids)} are not different numbers of at least 1, the smallest first",
            hints=("write [1, 2, 4]",),
        )
    if isinstance(clusters, tuple) and len(clusters) != len(grids):
        raise ConfigError(
            f"cluster.clusters has {len(clusters)} values and cluster.grids {len(grids)}",
            hints=("name as many clusters as grids, or write `auto`",),
        )


def _check_crops(settings: Settings) -> None:
    """Views and their labels lie on one grid of 4 x 4 pixels."""
    for key, crop in (("pretrain.crop", settings.pretrain.crop), ("train.crop", settings.train.crop)):
        if isinstance(crop, int) and crop % 4:
            raise ConfigError(f"{key} {crop} is no multiple of 4", hints=(f"write {crop + -crop % 4}",))


def whole(value: int | str) -> int:
    """A planned setting as a number.

    Raises:
        ValueError: It is still `auto`: the stage was not opened.
    """
    if not isinstance(value, int):
        raise ValueError(f"{value!r} has not been planned")
    return value
