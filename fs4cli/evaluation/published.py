"""What papers print, with where each number was read.

A figure marked unverified, [R], was recalled and not found again in a source: check it before you print it anywhere.
The other figures were read at the source that stands beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_PAPERS, _README, _LISTS = "paperswithcode", "its README", "sotaverified, wizwand"
_SUPERVISED, _DINO, _SCRATCH = "ImageNet labels", "DINO weights", "from scratch"
_BOTH, _ACCURACY, _MIOU = ("accuracy", "miou"), ("accuracy",), ("miou",)


@dataclass(frozen=True)
class Published:
    """One row of a table in a paper, in per cent.

    Args:
        method: Its name, with the backbone where it matters.
        accuracy: Pixel accuracy; None if none was found.
        miou: None if none was found.
        start: What the weights began as.
        source: Where it was read.
        unverified: Which of the two figures were not verified, [R].
    """

    method: str
    accuracy: float | None
    miou: float | None
    start: str
    source: str
    unverified: Sequence[str] = ()

    def show(self, figure: str) -> str:
        """A figure as text, marked if it is unverified."""
        value = getattr(self, figure)
        return "-" if value is None else f"{value:.2f}" + (" [R]" if figure in self.unverified else "")


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "cocostuff27": (
        Published("IIC", 21.8, 6.7, _SUPERVISED, "PiCIE's table", _BOTH),
        Published("MDC", 32.2, 9.8, _SUPERVISED, "PiCIE's table", _BOTH),
        Published("PiCIE", 48.09, 13.84, _SUPERVISED, _PAPERS),
        Published("PiCIE+H", 49.99, 14.36, _SUPERVISED, _PAPERS),
        Published("PiCIE, its released log", 50.35, 14.99, _SUPERVISED, "logs/ of its code"),
        Published("TransFGU", 44.52, 16.19, _DINO, _README),
        Published("STEGO ViT-S/8", 48.3, 24.5, _DINO, _LISTS, _ACCURACY),
        Published("STEGO ViT-B/8", 56.9, 28.2, _DINO, _LISTS, _ACCURACY),
        Published("HP ViT-S/8", 57.2, 24.6, _DINO, _LISTS, _ACCURACY),
        Published("SmooSeg", 63.2, 26.7, _DINO, "", _BOTH),
        Published("ACSeg", None, 16.4, _DINO, "", _MIOU),
        Published("EAGLE ViT-S/8", 64.2, 27.2, _DINO, "", _BOTH),
        Published("DepthG ViT-B/8", 58.6, 29.0, _DINO + ", depth labels", "", _BOTH),
        Published("CAUSE ViT-B/8", 74.9, 41.9, _DINO, _README),
        Published("DINO ViT-S/8, k-means", 34.2, 9.5, _DINO, "README of PriMaPs"),
        Published("PriMaPs ViT-S/8", 46.5, 16.4, _DINO, _README),
        Published("U2Seg", 63.9, 30.2, _DINO, _PAPERS),
        Published("FS4", 40.38, None, _SCRATCH, "", _ACCURACY),
    ),
    "cocostuff15": (
        Published("IIC", 27.7, None, _SCRATCH, "", _ACCURACY),
        Published("AC", 30.8, None, _SCRATCH, "", _ACCURACY),
        Published("InMARS", 31.0, None, _SCRATCH, "", _ACCURACY),
        Published("InfoSeg", 38.8, None, _SCRATCH, _LISTS),
        Published("FS4", 48.5, None, _SCRATCH, "wizwand"),
    ),
    "cocostuff3": (
        Published("IIC", 72.3, None, _SCRATCH, "", _ACCURACY),
        Published("AC", 72.9, None, _SCRATCH, "", _ACCURACY),
        Published("InMARS", 73.1, None, _SCRATCH, "", _ACCURACY),
        Published("InfoSeg", 73.8, None, _SCRATCH, _LISTS),
    ),
    "cocostuff171": (Published("TransFGU", 34.32, 11.93, _DINO, _README),),
    "cityscapes27": (
        Published("IIC", 47.9, 6.4, _SUPERVISED, "PiCIE's table, wizwand", _ACCURACY),
        Published("MDC", 40.7, 7.1, _SUPERVISED, "PiCIE's table", _BOTH),
        Published("PiCIE", 65.5, 12.31, _SUPERVISED, _PAPERS),
        Published("PiCIE, its released log", 63.96, 11.78, _SUPERVISED, "logs/ of its code"),
        Published("TransFGU", 77.92, 16.83, _DINO, _README),
        Published("STEGO ViT-B/8", 73.2, 21.0, _DINO, _LISTS, _ACCURACY),
        Published("HP", 80.1, 18.4, _DINO, _LISTS, _ACCURACY),
        Published("SmooSeg", 82.8, 18.4, _DINO, "", _BOTH),
        Published("EAGLE ViT-B/8", 79.4, 22.1, _DINO, "", _BOTH),
        Published("DepthG", 81.6, 23.1, _DINO + ", depth labels", "", _BOTH),
        Published("CAUSE ViT-B/8", 90.8, 28.0, _DINO, _README),
        Published("DINO ViT-S/8, k-means", 61.4, 15.8, _DINO, "README of PriMaPs"),
        Published("PriMaPs ViT-S/8", 81.2, 19.4, _DINO, _README),
        Published("FS4", 41.7, 11.68, _SCRATCH, "wizwand", _ACCURACY),
    ),
    "voc": (
        Published("TransFGU", None, 37.15, _DINO, _README),
        Published("ACSeg", None, 47.1, _DINO, "", _MIOU),
        Published("CAUSE", None, 53.3, _DINO, _README),
    ),
}

WARNING = (
    "The mIoU of 28.3 that lists give FS4 for COCO-Stuff is not an mIoU over the 27 classes: it does not fit its "
    "accuracy of 40.38 and is most likely that of things or stuff alone."
)


def list_published(benchmark: str) -> list[dict[str, Any]]:
    """The rows of a data set for a report: fractions, with a list of the figures that were not verified."""
    return [
        {
            "method": row.method,
            "accuracy": None if row.accuracy is None else round(row.accuracy / 100, 6),
            "miou": None if row.miou is None else round(row.miou / 100, 6),
            "start": row.start,
            "source": row.source or "recalled",
            "unverified": list(row.unverified),
        }
        for row in PUBLISHED.get(benchmark, ())
    ]
