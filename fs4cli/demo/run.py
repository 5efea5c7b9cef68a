"""The whole job on drawn scenes: draw, learn without labels, segment what was held out, score, show.

In: a folder and settings. Out: a project in the folder, its scores on images that training never saw, and a picture.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from fs4cli.config import Settings, with_values
from fs4cli.data.images import read_image
from fs4cli.data.masks import read_mask
from fs4cli.demo.folder import SceneFolder, write_scenes
from fs4cli.demo.materials import MATERIALS, PALETTE
from fs4cli.demo.overview import Row, draw_overview
from fs4cli.errors import ProjectError
from fs4cli.files import explain_os_errors, write_atomic
from fs4cli.pipeline import train_from_images
from fs4cli.progress import Progress
from fs4cli.project.lock import lock_project
from fs4cli.project.project import Project
from fs4cli.settings_file import write_starter
from fs4cli.stages.evaluate import EvaluateResult, run_evaluate
from fs4cli.stages.predict import run_predict

BUDGET = "150s"
"""For learning; with drawing, masks and scores the demo stays under five minutes on two cores."""
SHOWN = 6
"""Rows of the picture."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Args:
        project: The project folder.
        images: The folder of scenes that training saw.
        masks: The folder of masks of the held-out scenes.
        picture: The overview, a PNG.
        accuracy: Share of held-out pixels with the right material, clusters matched one to one.
        miou: Mean intersection over union of the materials.
        seconds: From start to end of this run.
    """

    project: Path
    images: Path
    masks: Path
    picture: Path
    accuracy: float | None
    miou: float | None
    seconds: float


def run_demo(
    folder: Path,
    *,
    settings: Settings,
    progress: Progress,
    fresh: bool = False,
    train: int = 240,
    test: int = 40,
) -> DemoResult:
    """Do the whole job on a folder of drawn scenes; what is there already is kept.

    Args:
        folder: Where everything goes; made if it is not there.
        settings: As the user chose them; classes and budget are the demo's own where nobody chose.
        progress: Is told what happens.
        fresh: Train anew.
        train: Scenes to learn from.
        test: Scenes held out.

    Raises:
        ProjectError: The folder holds something else, or a demo that ran with other settings.
        LockedError: Another demo runs there.
        Interrupted: A signal asked to stop; the same call goes on.
    """
    started = time.monotonic()
    scenes = SceneFolder(folder, train=train, test=test)
    drawn = write_scenes(scenes, progress=progress)
    progress.say(f"{drawn or 'no'} scenes drawn; the truth lies apart, in `{folder / 'truth'}`")
    settings = fill_settings(settings)
    project = _open_project(folder / "project", scenes, settings)
    with lock_project(project, command=("fs4", *sys.argv[1:])):
        images = (os.path.abspath(scenes.images("train")),)
        try:
            train_from_images(project, settings, images=images, progress=progress, fresh=fresh)
        except ProjectError as error:
            hints = ("choose a new folder, for example `fs4 demo ./try`", f"or delete `{folder}`")
            raise ProjectError(error.message, details=error.details, hints=hints) from error
        held_out = scenes.images("test")
        predicted = run_predict(
            [str(held_out)], out=None, project=project, model=None, settings=settings, fresh=fresh, progress=progress
        )
        masks = {mask.stem: mask for mask in (*predicted.written, *predicted.skipped)}
        scores = run_evaluate(
            settings, labels=scenes.truth("test"), images=held_out, project=project, progress=progress
        )
        picture = folder / "overview.png"
        _write_overview(picture, scenes, masks, scores)
    progress.say(
        f"held-out scenes: {_percent(scores.accuracy)} of the pixels right, mIoU {_percent(scores.miou)};"
        " compare the masks with the truth in the picture"
    )
    return DemoResult(
        project=project.root,
        images=scenes.images("train"),
        masks=project.stage("predict"),
        picture=picture,
        accuracy=scores.accuracy,
        miou=scores.miou,
        seconds=time.monotonic() - started,
    )


def fill_settings(settings: Settings) -> Settings:
    """The settings with the demo's own number of classes and budget where nobody chose."""
    own = {"classes": len(MATERIALS), "budget": BUDGET}
    return with_values(settings, {key: value for key, value in own.items() if key not in settings.model_fields_set})


def _open_project(root: Path, scenes: SceneFolder, settings: Settings) -> Project:
    project = Project(root.resolve())
    if not project.settings_path.exists():
        with explain_os_errors(root):
            root.mkdir(exist_ok=True)  # there before the settings name the images by a path from it
        images = (str(scenes.images("train")),)
        write_starter(project.settings_path, {"images": images, "classes": settings.classes})
    return project


def _write_overview(path: Path, scenes: SceneFolder, masks: dict[str, Path], scores: EvaluateResult) -> None:
    rows = []
    for number in range(min(SHOWN, scenes.test)):
        picture, truth = scenes.paths("test", number)
        rows.append(Row(read_image(picture).pixels, read_mask(truth), read_mask(masks[truth.stem])))
    sheet = draw_overview(
        rows,
        names=MATERIALS,
        palette=PALETTE,
        class_of=match_values(scores.report["matching"]["class_of"]),
        title=f"fs4 demo: {_percent(scores.accuracy)} of the pixels right, mIoU {_percent(scores.miou)},"
        f" on {scenes.test} scenes that training never saw; no labels were used",
    )
    with write_atomic(path) as file:
        Image.fromarray(sheet).save(file, format="PNG")


def match_values(class_of: dict[str, str | None]) -> Int[np.ndarray, " k"]:
    """The matching of a report (cluster -> material's name) as values; -1 for a cluster without a material."""
    matched = np.full(max(map(int, class_of), default=-1) + 1, -1)
    for cluster, name in class_of.items():
        if name is not None:
            matched[int(cluster)] = MATERIALS.index(name)
    return matched


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{100 * fraction:.1f} %"
