"""`fs4 cluster`: pretrained network in, pyramid pseudo-labels out."""

from typing import Annotated

from fs4cli.cli.ingest import Fresh, Yes
from fs4cli.cli.options import setting_option
from fs4cli.cli.session import Session


def cluster(
    session: Session,
    classes: Annotated[str | None, setting_option("classes", "--classes", metavar="K|auto")] = None,
    fresh: Fresh = False,
    yes: Yes = False,
) -> None:
    """Group images and patches into pseudo-labels.

    Features are kept, so that another number of classes does not compute them again.

    Examples:
      fs4 cluster
      fs4 cluster --set cluster.grids=1,2,4 --fresh --yes
    """
    project = session.find_project()
    settings = session.settings(project, {"classes": (classes, "--classes")})
    if fresh:
        session.confirm_removal([project.stage("cluster")], agreed=yes)
    with session.writing(project) as progress:
        from fs4cli.stages.cluster import run_cluster

        result = run_cluster(project, settings, progress=progress, fresh=fresh)
    session.report.show(result, paths=(project.stage("cluster"),), next_command=session.suggest("fs4 train"))
