"""The rooms of the repository, the arrows allowed between them, and what none of them may do.

Imports are read from the syntax tree, so those inside functions and under TYPE_CHECKING count too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# room: the rooms it may import, besides itself
ARROWS = {
    "control": set(),
    "sim": {"control"},
    "datasets": {"control"},
    "vla": {"control"},
    "train": {"control", "datasets", "vla", "sim"},
    "eval": {"control", "sim", "vla", "datasets"},
    "launch": {"control", "sim", "datasets", "vla", "train", "eval"},
}
FILES = [file for room in ARROWS for file in sorted((ROOT / room).rglob("*.py"))]
CONTROL_MAY_USE = {"numpy", "ruckig", "yaml"} | sys.stdlib_module_names
SERVO_SDKS = {
    "scservo_sdk",
    "dynamixel_sdk",
    "serial",
}  # optional: imported by control/robots/ where they are used
ADAPTED = {"lerobot", "draccus"}  # others' robots: imported by control/robots/ where one is made
INPUT_LIBRARIES = {"evdev"}  # optional: imported by control/teleop/ where they are used
PICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
NAMED_LIKE_STDLIB = {"control/types.py"}  # a name the design gives; nothing in control/ is run by path


def imports(tree: ast.AST) -> Iterator[str]:
    """Yields the dotted name of everything that is imported, `.`-prefixed where the import is relative.

    `from ideomotor import sim` yields "ideomotor.sim"; `importlib.import_module("torch")` yields "torch".
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from (f"{'.' * level}{module or ''}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(params=FILES, ids=relative)
def source(request) -> tuple[str, ast.Module]:
    """One of our files: its room and its syntax tree."""
    return relative(request.param).split("/")[0], ast.parse(request.param.read_text())


def test_arrows_between_rooms(source):
    room, tree = source
    ours = {name.split(".")[1] for name in imports(tree) if name.startswith("ideomotor.")}
    assert ours <= ARROWS[room] | {room}


def test_files_import_each_other_in_no_circle():
    modules = {f"ideomotor.{relative(file)[:-3].replace('/', '.')}": file for file in FILES}
    modules = {name.removesuffix(".__init__"): file for name, file in modules.items()}

    def imported(name: str, file: Path) -> set[str]:
        names = imports(ast.parse(file.read_text()))
        found = {name if name in modules else name.rpartition(".")[0] for name in names}
        return (found & modules.keys()) - {name}

    try:
        TopologicalSorter({name: imported(name, file) for name, file in modules.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(reversed(error.args[1]))}")


def test_rooms_are_imported_as_ideomotor_and_never_relatively(source):
    _, tree = source
    folders = {"tests", "benchmarks", *ARROWS}
    assert [name for name in imports(tree) if name.startswith(".") or name.split(".")[0] in folders] == []


def test_nothing_is_pickled(source):
    _, tree = source
    assert PICKLERS.isdisjoint(name.split(".")[0] for name in imports(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="torch"), attr="load" | "save"):
                pytest.fail(f"line {node.lineno}: torch.{node.attr} is pickle; use safetensors")
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                pytest.fail(f"line {node.lineno}: allow_pickle=True")


def test_control_uses_numpy_ruckig_and_yaml_only():
    for file in sorted((ROOT / "control").rglob("*.py")):
        used = {name.split(".")[0] for name in imports(ast.parse(file.read_text()))}
        inside = file.parent.relative_to(ROOT).parts
        drivers = SERVO_SDKS | ADAPTED if "robots" in inside else set()
        drivers = INPUT_LIBRARIES if "teleop" in inside else drivers
        assert used <= CONTROL_MAY_USE | drivers | {"ideomotor"}, relative(file)


def test_no_device_library_is_imported_before_it_is_used():
    for file in sorted((ROOT / "control").rglob("*.py")):
        at_import = ast.Module(
            [
                node
                for node in ast.parse(file.read_text()).body
                if isinstance(node, ast.Import | ast.ImportFrom)
            ],
            [],
        )
        assert (SERVO_SDKS | INPUT_LIBRARIES | ADAPTED).isdisjoint(
            name.split(".")[0] for name in imports(at_import)
        ), relative(file)


def test_control_loads_neither_torch_nor_a_simulator():
    modules = [relative(file)[:-3].replace("/", ".") for file in sorted((ROOT / "control").rglob("*.py"))]
    code = (
        "import importlib, sys\n"
        f"for name in {modules}: importlib.import_module('ideomotor.' + name)\n"
        "print(sorted({'torch', 'mujoco', 'gymnasium', 'transformers', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("room", ARROWS)
def test_root_folders_have_no_init(room):
    """With one, `import datasets` from the root would find ours instead of Hugging Face's."""
    assert not (ROOT / room / "__init__.py").exists()


def test_no_file_is_named_like_a_standard_module():
    """Run by path, a file next to it would import it instead of the standard library's."""
    clashes = {relative(file) for file in FILES if file.stem in sys.stdlib_module_names}
    assert clashes <= NAMED_LIKE_STDLIB
