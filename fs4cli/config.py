"""Every setting: one frozen pydantic model a stage, each field with its default, bounds and help line.

`auto` values are planned from the images and the machine (`fs4cli.planning`); what came of them, and why, stands in
the project's `plan.json`. docs/settings.md and the starter `fs4.yaml` are generated from this file.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.config import JsonDict

from fs4cli.duration import parse_duration
from fs4cli.errors import ConfigError

Auto = Literal["auto"]
AutoCount = Annotated[int, Field(ge=1)] | Auto

RUNS_ONLY: JsonDict = {"affects_result": False}
"""Marks a setting that changes how fast or how loudly a stage runs, not what it makes: it never makes a stage stale."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class IngestSettings(_Section):
    """Reading the folder of images."""

    pattern: str = Field(default="*", description="Only files whose name matches this glob are looked at.")
    cache_size: int = Field(
        default=256,
        ge=32,
        le=4096,
        description="Short side of the decoded copies, in pixels: no stage before predict looks closer.",
    )
    max_pixels: int = Field(default=250_000_000, ge=1, description="Larger images are left out (a decompression bomb).")
    max_bad_share: float = Field(
        default=0.5, ge=0, le=1, description="Stop if a larger share of the files cannot be read."
    )
    near_duplicate_distance: int = Field(
        default=4,
        ge=0,
        le=64,
        description="Bits of the 64-bit perceptual hash in which near duplicates differ at most.",
    )
    decode_seconds: float = Field(
        default=30.0, gt=0, description="Give up on a file after so long.", json_schema_extra=RUNS_ONLY
    )


class ModelSettings(_Section):
    """The network; shared by pretrain, cluster and train."""

    backbone: str = Field(
        default="auto", description="A timm model that gives feature maps (`features_only`), or a plain ViT."
    )
    channels: int = Field(default=128, ge=8, le=1024, description="Width of the dense features.")


class PretrainSettings(_Section):
    """Self-supervised pretraining of the dense network."""

    weights: str | None = Field(
        default=None, description="Local file of self-supervised weights to start from, instead of none."
    )
    steps: Annotated[int, Field(ge=0)] | Auto = Field(
        default="auto", description="Optimizer updates; 0 leaves the weights as they are."
    )
    batch_size: AutoCount = Field(default="auto", description="Images an update.")
    window: AutoCount = Field(
        default="auto", description="Short side at which images are read, in pixels; views are cut from it."
    )
    crop: AutoCount = Field(default="auto", description="Side of the square training views, in pixels.")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate.")
    checkpoint_every: float = Field(
        default=60.0, gt=0, description="Seconds between checkpoints.", json_schema_extra=RUNS_ONLY
    )


class ClusterSettings(_Section):
    """Pyramid pseudo-labels (PGG)."""

    images: AutoCount = Field(
        default="auto",
        description="How many of the images cluster and train look at, drawn at random; pretrain sees all.",
    )
    grids: tuple[int, ...] = Field(
        default=(1, 2, 4), description="Cells per side of each pyramid level; 1 is the whole image."
    )
    clusters: tuple[AutoCount, ...] | Auto = Field(default="auto", description="Clusters of each pyramid level.")
    balanced: bool = Field(default=True, description="Assign cells to clusters in equal shares.")


class TrainSettings(_Section):
    """Joint training of the segmenter."""

    method: Literal["fs4", "picie", "picie-as-released", "mdc", "kmeans"] = Field(
        default="fs4",
        description="fs4, or a baseline beside it: PiCIE, MDC, or k-means of pretrained features.",
    )
    steps: AutoCount = Field(default="auto", description="Optimizer updates.")
    batch_size: AutoCount = Field(default="auto", description="Images an update.")
    window: AutoCount = Field(
        default="auto", description="Short side at which images are read, in pixels; views are cut from it."
    )
    crop: AutoCount = Field(default="auto", description="Side of the square training views, in pixels.")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate.")
    pyramid: bool = Field(default=True, description="Guide pixels by images and patches (PGG).")
    context: bool = Field(
        default=False, description="Embed each pixel with its neighbours (CAE): slower, and no better where measured."
    )
    grouping: Literal["auto", "cues", "features"] = Field(
        default="auto",
        description="What pixels are first grouped by: cues and learned features where they agree, or one alone; by "
        "features alone, places never guide them.",
    )
    refine: bool = Field(
        default=True, description="Sharpen assignments along image edges, and move borders to where colours part."
    )
    exposure: bool = Field(
        default=True,
        description="See images in one light where all show the same things in the same places and light changes.",
    )
    prior: bool = Field(default=True, description="Weigh masks with what the first grouping says of each pixel.")
    rounds: int = Field(default=2, ge=1, le=20, description="How often pixels are assigned, and learned.")
    checkpoint_every: float = Field(
        default=60.0, gt=0, description="Seconds between checkpoints.", json_schema_extra=RUNS_ONLY
    )


class PredictSettings(_Section):
    """Masks for images."""

    size: AutoCount = Field(default="auto", description="Short side that the network sees, in pixels.")
    batch_size: AutoCount = Field(default="auto", description="Images a forward pass.", json_schema_extra=RUNS_ONLY)
    flip: bool = Field(default=True, description="Average with the mirrored image.")
    refine: bool = Field(
        default=True, description="Sharpen masks along image edges, and move borders to where colours part."
    )


class EvaluateSettings(_Section):
    """Scores against ground truth."""

    void: int = Field(default=255, ge=0, le=65535, description="Label value that is not counted.")


class Settings(_Section):
    """All settings of a project."""

    images: tuple[str, ...] = Field(
        default=(), description="Folders, files, globs or list files of the images to learn from."
    )
    classes: Annotated[int, Field(ge=2, le=1000)] | Auto = Field(
        default=27, description="Classes the finished model tells apart; auto finds a number from 3 to 20."
    )
    preset: Literal["auto", "tiny", "small", "base", "large"] = Field(
        default="auto", description="Size of everything that is left to the plan."
    )
    budget: str | None = Field(
        default=None,
        description="Wall-clock time for pretrain, cluster and train together, as 90s, 20m or 8h.",
        json_schema_extra=RUNS_ONLY,
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Of all randomness.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:N or mps.", json_schema_extra=RUNS_ONLY)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="Number format of the network's work."
    )
    workers: Annotated[int, Field(ge=0)] | Auto = Field(
        default="auto", description="Processes that read images.", json_schema_extra=RUNS_ONLY
    )
    ingest: IngestSettings = IngestSettings()
    model: ModelSettings = ModelSettings()
    pretrain: PretrainSettings = PretrainSettings()
    cluster: ClusterSettings = ClusterSettings()
    train: TrainSettings = TrainSettings()
    predict: PredictSettings = PredictSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @field_validator("budget")
    @classmethod
    def _refuse_no_duration(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_duration(value)
            except ConfigError as error:
                raise ValueError(", ".join((error.message, *error.hints))) from None
        return value


USED_BY: dict[str, tuple[str, ...]] = {
    "ingest": ("images", "ingest"),
    "pretrain": ("preset", "seed", "precision", "model", "pretrain"),
    "cluster": ("classes", "preset", "seed", "model", "cluster"),
    "train": ("classes", "preset", "seed", "precision", "model", "train"),
    "predict": ("precision", "predict"),
    "evaluate": ("predict", "evaluate"),
}
"""The settings, or sections of them, that shape each stage's own result."""


def stage_settings(settings: Settings, stage: str) -> tuple[dict[str, Any], set[str]]:
    """The settings that shape a stage's result, by dotted key, and those among them that somebody chose."""
    values: dict[str, Any] = {}
    explicit: set[str] = set()
    for name in USED_BY[stage]:
        value = getattr(settings, name)
        rows = [(name, settings, name)]
        if isinstance(value, BaseModel):
            rows = [(f"{name}.{key}", value, key) for key in type(value).model_fields]
        for dotted, owner, key in rows:
            extra = type(owner).model_fields[key].json_schema_extra
            if isinstance(extra, dict) and extra.get("affects_result") is False:
                continue
            values[dotted] = getattr(owner, key)
            if key in owner.model_fields_set and (owner is settings or name in settings.model_fields_set):
                explicit.add(dotted)
    return values, explicit


def with_values(settings: Settings, values: dict[str, Any]) -> Settings:
    """The same settings with some replaced, by dotted key; the new values are checked."""
    nested = settings.model_dump(exclude_unset=True)
    for dotted, value in values.items():
        *sections, key = dotted.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return Settings.model_validate(nested)
