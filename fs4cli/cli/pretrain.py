"""`fs4 pretrain`: indexed images in, weights of the dense network out."""

from typing import Annotated

from fs4cli.cli.help_page import MODEL
from fs4cli.cli.ingest import Fresh, Yes
from fs4cli.cli.options import setting_option
from fs4cli.cli.profile import Profile, show_breakdown
from fs4cli.cli.session import Session


def pretrain(
    session: Session,
    steps: Annotated[str | None, setting_option("pretrain.steps", "--steps", metavar="N")] = None,
    budget: Annotated[str | None, setting_option("budget", "--budget", metavar="TIME")] = None,
    backbone: Annotated[str | None, setting_option("model.backbone", "--backbone", panel=MODEL, metavar="NAME")] = None,
    profile: Profile = False,
    fresh: Fresh = False,
    yes: Yes = False,
) -> None:
    """Pretrain the network on the images alone, from random weights.

    Stopped, it goes on where it was with the same command.

    Examples:
      fs4 pretrain
      fs4 pretrain --steps 2000
      fs4 pretrain --set pretrain.batch_size=16
    """
    project = session.find_project()
    settings = session.settings(
        project,
        {
            "pretrain.steps": (steps, "--steps"),
            "budget": (budget, "--budget"),
            "model.backbone": (backbone, "--backbone"),
        },
    )
    if fresh:
        session.confirm_removal([project.stage("pretrain")], agreed=yes)
    with session.writing(project) as progress:
        from fs4cli.stages.pretrain import run_pretrain

        result = run_pretrain(project, settings, progress=progress, fresh=fresh)
    if profile:
        show_breakdown(session, project, ("pretrain",))
    session.report.show(result, paths=(project.pretrained,), next_command=session.suggest("fs4 train"))
