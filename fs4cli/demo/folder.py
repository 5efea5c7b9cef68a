"""The demo's folder on disk: pictures to learn from, pictures held out, and the ground truth apart from both.

    DIR/about.json            what is drawn here
    DIR/images/train/*.jpg    what training sees
    DIR/images/test/*.jpg     held out
    DIR/truth/classes.yaml    the materials
    DIR/truth/{train,test}/*.png    the material of every pixel; only the evaluation looks at it

Each file is whole or not there, so that drawing goes on where it was stopped.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import UInt8
from PIL import Image

from fs4cli.data.masks import encode_mask
from fs4cli.demo.materials import MATERIALS, PALETTE
from fs4cli.demo.scenes import draw_scene
from fs4cli.errors import Interrupted, ProjectError
from fs4cli.files import explain_os_errors, read_json, write_bytes, write_json, write_text
from fs4cli.progress import Progress

SCHEMA = "fs4.demo/1"
"""Grows when the scenes are drawn in another way."""


@dataclass(frozen=True)
class SceneFolder:
    """A folder of drawn scenes.

    Args:
        root: The folder.
        train: Scenes to learn from.
        test: Scenes held out.
        seed: They are drawn with.
    """

    root: Path
    train: int = 240
    test: int = 40
    seed: int = 0

    def images(self, split: str) -> Path:
        """The folder of pictures of "train" or "test"."""
        return self.root / "images" / split

    def truth(self, split: str) -> Path:
        """The folder of ground truth of "train" or "test"."""
        return self.root / "truth" / split

    def paths(self, split: str, number: int) -> tuple[Path, Path]:
        """The picture and the ground truth of one scene."""
        return self.images(split) / f"scene-{number:04d}.jpg", self.truth(split) / f"scene-{number:04d}.png"

    @property
    def classes(self) -> Path:
        """`classes.yaml`: the materials by value."""
        return self.root / "truth" / "classes.yaml"

    @property
    def about(self) -> Path:
        """`about.json`: what is drawn here; the mark by which the folder is known."""
        return self.root / "about.json"


def write_scenes(folder: SceneFolder, *, progress: Progress) -> int:
    """Draw what is missing of a folder of scenes; returns how many were drawn.

    Args:
        folder: Where and what. A folder that is not there is made; one with a demo of the same scenes is completed.
        progress: Is told how far it is.

    Raises:
        ProjectError: The folder holds something else.
        Interrupted: A signal asked to stop; the same call goes on.
    """
    _claim(folder)
    scenes = [("train", number) for number in range(folder.train)] + [("test", number) for number in range(folder.test)]
    write_text(folder.classes, describe_classes())
    missing = [place for place in enumerate(scenes) if not all(path.exists() for path in folder.paths(*place[1]))]
    if not missing:
        return 0
    with progress.task("draw scenes", len(scenes), unit="images", done=len(scenes) - len(missing)) as task:
        for index, (split, number) in missing:
            signal = progress.stop_requested()
            if signal is not None:
                raise Interrupted("stopped while drawing; the same command goes on", signal=signal)
            scene = draw_scene(folder.seed, index)
            picture, truth = folder.paths(split, number)
            write_bytes(truth, encode_mask(scene.labels, PALETTE))
            write_bytes(picture, _encode_picture(scene.pixels))
            task.advance()
    return len(missing)


def describe_classes() -> str:
    """The text of `classes.yaml`."""
    rows = [{"id": value, "name": name, "color": PALETTE[value].tolist()} for value, name in enumerate(MATERIALS)]
    head = {
        "name": "fs4-demo",
        "description": "Outdoor-like scenes drawn by fs4 demo, with the material of every pixel",
        "void_id": 255,
        "num_classes": len(MATERIALS),
        "layout": "images/<split>/<stem>.jpg with truth/<split>/<stem>.png",
    }
    return yaml.safe_dump({**head, "classes": rows}, sort_keys=False)


def _claim(folder: SceneFolder) -> None:
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "what": "A demo of fs4: scenes drawn in code, and the project that learnt from them. Safe to delete.",
        "seed": folder.seed,
        "train": folder.train,
        "test": folder.test,
    }
    hints = ("name another folder: `fs4 demo DIR`", f"or remove `{folder.root}`")
    if folder.about.exists():
        if read_json(folder.about) != about:
            raise ProjectError(f"`{folder.root}` holds another demo", hints=hints)
        return
    with explain_os_errors(folder.root):
        if folder.root.exists() and (not folder.root.is_dir() or any(folder.root.iterdir())):
            word = "is not empty" if folder.root.is_dir() else "is a file"
            raise ProjectError(f"`{folder.root}` {word}, and is no demo of fs4", hints=hints[:1])
    write_json(folder.about, about)


def _encode_picture(pixels: UInt8[np.ndarray, "H W 3"]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=93)
    return buffer.getvalue()
