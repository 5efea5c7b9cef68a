"""`fs4 ingest`: images in, index and cache out."""

from typing import Annotated

from fs4cli.cli.help_page import ADVANCED
from fs4cli.cli.init import check_sources
from fs4cli.cli.options import option, setting_option
from fs4cli.cli.session import Session

Fresh = Annotated[bool, option("--fresh", help="Start over: remove what this stage made before.", panel=ADVANCED)]
Yes = Annotated[bool, option("--yes", "-y", help="Do not ask before `--fresh` removes.", panel=ADVANCED)]


def ingest(
    session: Session,
    images: Annotated[list[str] | None, setting_option("images", "--images", metavar="PATH")] = None,
    pattern: Annotated[str | None, setting_option("ingest.pattern", "--pattern", metavar="GLOB")] = None,
    fresh: Fresh = False,
    yes: Yes = False,
) -> None:
    """Read every image once: index, quarantine, cache.

    Nothing is ever written in the folders of images. Run again, it reads only what is new, changed or gone.

    Examples:
      fs4 ingest --images ./photos
      fs4 ingest --images ./a --images "./b/*.tif" --images list.txt
    """
    check_sources(images or ())
    project = session.find_project()
    settings = session.settings(
        project, {"images": (tuple(images or ()), "--images"), "ingest.pattern": (pattern, "--pattern")}
    )
    if fresh:
        session.confirm_removal([project.stage("ingest")], agreed=yes)
    with session.writing(project) as progress:
        from fs4cli.stages.ingest import run_ingest

        result = run_ingest(project, settings, images=settings.images, progress=progress, fresh=fresh)
    session.report.show(result, paths=(project.index,), next_command=session.suggest("fs4 train"))
