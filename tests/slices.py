"""The cells of a notebook that its panels need, and few others."""

import ast
import builtins
from collections.abc import Iterator
from typing import Any

SIMPLE = ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr      # what these bind, they do not yet know


def for_panels(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those cells with code that makes a panel, or what one is made of, in order.

    A cell is needed for a name if it binds it, or calls or changes what it stands for. Too few cells are an error
    when they run.
    """
    code = [cell for cell in cells if cell["cell_type"] == "code" and "%pip" not in "".join(cell["source"])]
    parsed = [ast.parse("".join(cell["source"])) for cell in code]
    modules = {name for tree in parsed for name in _imported(tree)}
    needed: set[str] = set()
    kept = []
    for cell, tree in zip(reversed(code), reversed(parsed), strict=True):
        if "Panel(" in "".join(cell["source"]) or (_bound(tree) | (_changed(tree) - modules)) & needed:
            kept.append(cell)
            needed = needed - _bound(tree) | _free(tree)
    return kept[::-1]


def _free(tree: ast.Module) -> set[str]:
    """Names it needs from the cells above."""
    free, known = set(), set(dir(builtins))
    for statement in tree.body:
        loads = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)
                 and (isinstance(node.ctx, ast.Load) or isinstance(statement, ast.AugAssign))}
        own = {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
        for part in ast.walk(statement):
            if isinstance(part, ast.comprehension):
                own |= _bound(part.target)
            elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                own |= {name for line in part.body for name in _bound(line)}
        if not isinstance(statement, SIMPLE):
            own |= _bound(statement)
        free |= loads - known - own
        known |= _bound(statement)
    return free


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)


def _bound(node: ast.AST) -> set[str]:
    """Names that get a value there, not inside a function or class of it."""
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    return {*_imported(node)} | {name for child in ast.iter_child_nodes(node) for name in _bound(child)}


def _changed(tree: ast.AST) -> set[str]:
    """What has its items, attributes or insides changed: `x[0] = 1`, `x.y = 1`, `x.append(1)`."""
    places: list[ast.AST] = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript)
                             and not isinstance(node.ctx, ast.Load)]
    places += [node.value.func for node in ast.walk(tree) if isinstance(node, ast.Expr)
               and isinstance(node.value, ast.Call)]
    return {name for place in places if (name := _base(place))}


def _base(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
