"""The methods of the quality bench: each is a line of settings, and none is a fork.

All but a method's own settings is alike: images, backbone, budget, and how masks are made of the finished model.
"""

METHODS: dict[str, dict[str, str]] = {
    "fs4": {},
    "fs4 without PGG": {"train.pyramid": "false"},
    "fs4 without patch levels": {"cluster.grids": "[1]"},
    "fs4 with CAE": {"train.context": "true"},
    "fs4 without balance": {"cluster.balanced": "false"},
    "fs4 without refinement": {"train.refine": "false", "predict.refine": "false"},
    "fs4 without exposure": {"train.exposure": "false"},
    "fs4 without prior": {"train.prior": "false"},
    "fs4 grouped by cues": {"train.grouping": "cues"},
    "fs4 grouped by features": {"train.grouping": "features"},
    "picie": {"train.method": "picie", "train.rounds": "10", "pretrain.steps": "0"},
    "picie as released": {"train.method": "picie-as-released", "train.rounds": "10", "pretrain.steps": "0"},
    "mdc": {"train.method": "mdc", "train.rounds": "10", "pretrain.steps": "0"},
    "swav-pixels": {"train.method": "kmeans"},
}
"""By name, settings as one types them after `--set`."""
