"""What imports what: heavy libraries only on demand, and the layers only downwards."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cnntransfer

PACKAGE = Path(cnntransfer.__file__).parent
HEAVY = (
    "tensorflow",
    "keras",
    "ai_edge_litert",
    "sklearn",
    "scipy",
    "h5py",
    "pandas",
    "matplotlib",
    "jinja2",
)


def heavy_after_importing(modules):
    """Which heavy libraries a fresh interpreter has loaded after importing these modules."""
    script = (
        "import importlib, sys\n"
        f"for name in {list(modules)!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout.split()


def test_no_module_imports_a_heavy_library():
    modules = [f"cnntransfer.{module_name(path)}" for path in PACKAGE.rglob("*.py")]
    assert {"cnntransfer.training.run", "cnntransfer.models.classifier"} < set(modules)
    assert heavy_after_importing(modules) == []


def test_the_check_notices_a_heavy_import():
    assert heavy_after_importing(["cnntransfer.errors", "ai_edge_litert.interpreter"]) == [
        "ai_edge_litert"
    ]


#: From the bottom up. A module may import modules of its own layer and of those before it.
LAYERS = (
    ("__init__", "errors"),
    (
        "settings",
        "recipe",
        "storage",
        "arrays",
        "cache",
        "rows",
        "progress",
        "parallel",
        "processor",
        "frameworks",
    ),
    ("data",),
    ("models",),
    ("engines",),
    ("metadata_form", "bundle", "plots"),
    (
        "metrics",
        "novelty",
        "held_out",
        "predict",
        "own_split",
        "answers",
        "committee",
        "evaluate",
        "comparison",
    ),
    ("report",),
    ("training",),
    ("pretrained", "export", "inspect", "explain", "benchmark", "reproduce", "reproduction"),
    ("api",),
    ("cli", "__main__"),
)
#: Needs that point upwards on purpose, inside functions: (importer, imported).
EXCEPTIONS = set()


def layer_of(name):
    top = name.split(".")[0]
    return next(number for number, names in enumerate(LAYERS) if top in names)


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports_of(path, package=PACKAGE):
    """The package's modules that a file imports, at module level or in functions."""
    parts = path.relative_to(package).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level + 1]
            inside = [*base, *(node.module.split(".") if node.module else [])]
            if inside:
                yield ".".join(inside)
            else:
                for alias in node.names:
                    is_module = (package / f"{alias.name}.py").exists()
                    yield alias.name if is_module or (package / alias.name).is_dir() else "__init__"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            yield from (n.partition(".")[2] for n in names if n.startswith("cnntransfer."))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=module_name)
def test_imports_point_downwards(path):
    importer = module_name(path)
    upwards = {
        imported
        for imported in imports_of(path)
        if layer_of(imported) > layer_of(importer) and (importer, imported) not in EXCEPTIONS
    }
    assert not upwards


def test_the_table_of_layers_is_complete():
    tops = {module_name(path).split(".")[0] for path in PACKAGE.rglob("*.py")}
    assert tops == {name for layer in LAYERS for name in layer}


def test_the_parser_sees_every_form_of_import(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "cli").mkdir()
    (tmp_path / "errors.py").touch()
    path = tmp_path / "data" / "x.py"
    path.write_text(
        "from ..errors import A\nfrom .. import errors, __version__\nfrom .images import read\n"
        "import numpy\ndef f():\n    from ..cli.console import g\n    import cnntransfer.bundle\n"
    )
    assert list(imports_of(path, tmp_path)) == [
        "errors",
        "errors",
        "__init__",
        "data.images",
        "cli.console",
        "bundle",
    ]
