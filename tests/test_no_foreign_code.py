"""No code of fs4 runs what a file holds: nothing is unpickled, evaluated, or built from a class that a file names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "fs4cli"
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
ONLY_ERRORS = {"UnpicklingError", "PicklingError", "PickleError"}
# by the last words of what is called: the keyword that must be there, with its value
NEEDS = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "create_model": ("pretrained", False),
}
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.full_load_all", "yaml.unsafe_load_all"),
    *("yaml.Loader", "yaml.FullLoader", "yaml.UnsafeLoader", "yaml.CLoader", "yaml.CFullLoader", "yaml.CUnsafeLoader"),
    *("torch.hub.load", "torch.jit.load", "torch.package", "hub.load", "hub.download_url_to_file"),
    "np.lib.format.read_array",
}
METHODS = {"extractall", "unpack_archive", "read_pickle", "to_pickle", "load_state_dict_from_url"}
"""Forbidden whatever they are called on."""


def find_foreign_code(source: str) -> Iterator[str]:
    """Each line that would run or unpickle what a file holds."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            # `import pickle` alone is for the names of its errors
            yield from (
                f"{line}: {one.name} as {one.asname}" for one in node.names if one.name in PICKLES and one.asname
            )
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{one.name}" for one in node.names]
            yield from (
                f"{line}: {name}" for name in found if node.module in PICKLES and _last(name) not in ONLY_ERRORS
            )
            yield from (f"{line}: {name}" for name in found if name in FORBIDDEN | {"torch.load", "numpy.load"})
        elif isinstance(node, ast.Attribute):
            name = _name(node)
            if name.partition(".")[0] in PICKLES and _last(name) not in ONLY_ERRORS:
                yield f"{line}: {name}"
            elif name in FORBIDDEN:
                yield f"{line}: {name}"
        elif isinstance(node, ast.Call):
            yield from (f"{line}: {problem}" for problem in _judge_call(node))


def _judge_call(call: ast.Call) -> Iterator[str]:
    name = _name(call.func)
    if name in FORBIDDEN or (isinstance(call.func, ast.Attribute) and call.func.attr in METHODS):
        yield name
    given = {one.arg: getattr(one.value, "value", None) for one in call.keywords}
    for called, (keyword, value) in NEEDS.items():
        if (name == called or name.endswith(f".{called}")) and given.get(keyword) is not value:
            yield f"{name} without {keyword}={value}"
    if given.get("shell") is True or given.get("trust_remote_code") is True:
        yield f"{name} runs a text"


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_unpickles_or_runs_what_a_file_holds(path):
    assert list(find_foreign_code(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "breach",
    [
        "import pickle\npickle.load(file)",
        "import pickle\npickle.Unpickler(file).load()",
        "import pickle as data",
        "from pickle import loads",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch\ntorch.load(path, weights_only=flag)",
        "from torch import load",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "import yaml\nyaml.unsafe_load(text)",
        "from yaml import full_load",
        "import yaml\nclass Own(yaml.UnsafeLoader): pass",
        "eval(text)",
        "exec(text)",
        "torch.hub.load(place, name)",
        "timm.create_model(name, pretrained=True)",
        "timm.create_model(name)",
        "archive.extractall(folder)",
        "subprocess.run(text, shell=True)",
        "import joblib\njoblib.load(path)",
    ],
)
def test_a_planted_breach_is_found(breach):
    assert list(find_foreign_code(breach))


def test_what_is_safe_is_let_through():
    code = """
import pickle
import numpy as np, torch, yaml
try:
    torch.load(path, weights_only=True)
except pickle.UnpicklingError:
    np.load(path, mmap_mode="r", allow_pickle=False)
yaml.safe_load(text)
model.eval()
re.compile(pattern)
"""
    assert list(find_foreign_code(code)) == []
