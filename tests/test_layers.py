"""The house: an import only goes down, topics do not know each other, no circles, no private names across folders.

Read from the syntax trees, so that every way to write an import counts. Each rule is shown failing on a planted fault.
"""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("ranges", "files", "machine", "progress", "shares", "sweep", "installer")
GROUND = ("wire", "loopback")
TOPICS = ("metastability", "consistency", "crdt", "interactions", "remote", "inference", "gateway", "operations")
FLOOR = {**dict.fromkeys(SMALL, 0), **dict.fromkeys(GROUND, 1), "course": 2, **dict.fromkeys(TOPICS, 3)}
DRAWING = ("matplotlib", "ipywidgets")
MAY_DRAW = ("drawings", "exercises")


# each rule reads each module, before and after a fault is planted in one of them: no text is parsed twice
parse = functools.cache(ast.parse)


def sources():
    """Module name -> text of every module of the package."""
    found = {}
    for path in (ROOT / "labkit").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def deferred(tree):
    """Nodes that do not run when the module is imported: inside functions, or under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ast.walk(node)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from (inner for each in node.body for inner in ast.walk(each))


def imports(module, text, known):
    """(imported module, name or None, whether it runs at import) for each import, `from labkit import x` resolved."""
    for path, name, runs in written(module, text):
        inner = f"{path}.{name}"
        yield (inner, None, runs) if name and inner in known else (path, name, runs)


@functools.cache
def written(module, text):
    """The same, as the text has it."""
    tree, found = parse(text), []
    late = set(deferred(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, None, node not in late) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found += [(node.module, alias.name, node not in late) for alias in node.names]
    return found


def room(module):
    """The first name below labkit: the topic, or the small thing itself."""
    return module.split(".")[1] if module.startswith("labkit.") else ""


def upwards(known):
    """Imports that go up, or sideways into another room of the same floor."""
    for module, text in known.items():
        for target, _, _ in imports(module, text, known):
            here, there = room(module), room(target)
            if here and there and here != there and FLOOR[there] >= FLOOR[here] and here not in SMALL:
                yield f"{module} imports {target}"
            if here in SMALL and there and there not in SMALL:
                yield f"{module} imports {target}"


def drawing(known):
    """Simulation code that draws: matplotlib, widgets and the course belong to drawings and exercises."""
    for module, text in known.items():
        if room(module) in TOPICS and module.rsplit(".", 1)[-1] not in MAY_DRAW:
            for target, _, _ in imports(module, text, known):
                if target.split(".")[0] in DRAWING or room(target) == "course":
                    yield f"{module} imports {target}"


def circles(known):
    """Modules that reach themselves by the imports that run when they are imported; a package is its __init__."""
    arrows = {module: {target for target, _, runs in imports(module, text, known) if runs and target in known}
              for module, text in known.items()}
    for start in arrows:
        seen, todo = set(), list(arrows[start])
        while todo:
            here = todo.pop()
            if here == start:
                yield f"{start} imports itself through others"
                break
            if here not in seen:
                seen.add(here)
                todo += arrows[here]


def private(known):
    """Names with an underscore taken from another module's folder, by import or as an attribute."""
    for module, text in known.items():
        tree, others = parse(text), {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("labkit"):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    if alias.name.startswith("_") and folder(node.module) != folder(module):
                        yield f"{module} imports {inner}"
                    if inner in known and folder(inner) != folder(module):
                        others[alias.asname or alias.name] = inner
        for node in ast.walk(tree):
            if (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in others
                    and node.attr.startswith("_") and not node.attr.startswith("__")):
                yield f"{module} uses {others[node.value.id]}.{node.attr}"


def folder(module):
    return module.rpartition(".")[0]


def busy(known):
    """Packages whose __init__ does more than hand on names: a docstring, imports, __all__ (and the version)."""
    packages = {folder(module) for module in known} - {""}
    for module in packages & set(known):
        for node in parse(known[module]).body:
            plain = isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) or (
                isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__version__"))
            if not plain:
                yield f"{module}: {ast.unparse(node).splitlines()[0]}"


def twice(known):
    """Class names that stand for two things."""
    seen = {}
    for module, text in known.items():
        for node in ast.walk(parse(text)):
            if isinstance(node, ast.ClassDef):
                if node.name in seen and node.name not in SHARED:
                    yield f"{node.name}: {seen[node.name]} and {module}"
                seen[node.name] = module


# the word of two literatures: a call in a history, and a kind of transaction with its precondition
SHARED = {"Operation"}
RULES = [upwards, drawing, circles, private, busy, twice]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule):
    assert sorted(rule(sources())) == []


def test_every_room_has_a_floor():
    assert {room(module) for module in sources()} - {""} <= set(FLOOR)


@pytest.mark.parametrize("rule, module, line", [
    (upwards, "labkit.crdt.sets", "from labkit.consistency.run import StoreRun"),
    (upwards, "labkit.crdt.sets", "from labkit import consistency"),
    (upwards, "labkit.gateway.cost", "import labkit.inference.roofline"),
    (upwards, "labkit.course.quiz", "from labkit.crdt import laws"),
    (upwards, "labkit.loopback.serve", "from labkit.wire import chat"),
    (upwards, "labkit.wire.chat", "def f():\n    from labkit.course import figures"),
    (upwards, "labkit.ranges", "from labkit.loopback import serve"),
    (drawing, "labkit.crdt.sets", "import matplotlib.pyplot as plt"),
    (drawing, "labkit.crdt.sets", "from labkit.course import figures"),
    (circles, "labkit.ranges", "from labkit import files\nimport labkit.machine"),
    (private, "labkit.gateway.config", "from labkit.gateway.budget.ledger import _match"),
    (private, "labkit.gateway.config", "from labkit.gateway.budget import ledger\nledger._match(())"),
    (busy, "labkit.crdt", "def helper():\n    pass"),
    (twice, "labkit.gateway.cost", "class Ledger:\n    pass")])
def test_a_planted_fault_is_found(rule, module, line):
    known = sources()
    if rule is circles:
        known["labkit.machine"] += "\nfrom labkit import ranges\n"
    planted = {**known, module: known[module] + "\n" + line + "\n"}
    assert any(fault.startswith(module) or module in fault for fault in set(rule(planted)) - set(rule(sources())))
