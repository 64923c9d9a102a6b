"""Run notebooks and store their outputs as they must be committed: `make notebooks`, or name some.

Keeps outputs and counts 1..N; folds the results that answer a prediction; drops what only a live kernel understands
(widget views and states) and execution timestamps; paths of this machine would be a mistake the notebook tests report.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from labkit.course.learner import unfold

VIEW = "application/vnd.jupyter.widget-view+json"


def clean(notebook):
    """Drop widget state and views: without a kernel the PNG and the text beside them are what can be shown."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(VIEW, None)
    fold(notebook.cells)
    return notebook


def fold(cells):
    """Hide the stored result below each prediction card: cells with output from the first one to the next text."""
    for cell in cells:
        if cell["cell_type"] == "code":
            unfold(cell["metadata"])
    for card in (n for n, cell in enumerate(cells) if "predict(" in "".join(cell["source"])):
        found = False
        for cell in cells[card + 1:]:
            if cell["cell_type"] != "code":
                if found:
                    break
            elif cell["outputs"] and "predict(" not in "".join(cell["source"]):
                found = True
                cell["metadata"]["collapsed"] = True
                cell["metadata"].setdefault("jupyter", {})["outputs_hidden"] = True


def joined(outputs):
    """What was printed piece by piece is one output, as a reader of the page expects."""
    whole = []
    for output in outputs:
        if whole and output.output_type == "stream" == whole[-1].output_type and output.name == whole[-1].name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def refresh(path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=180, kernel_name="python3",
                   resources={"metadata": {"path": str(path.parent)}}).execute()
    nbformat.write(clean(notebook), path)


if __name__ == "__main__":
    os.environ["LABKIT_PROGRESS"] = "off"
    root = Path(__file__).resolve().parent.parent / "notebooks"
    for name in sys.argv[1:] or sorted([*root.glob("*.ipynb"), *root.glob("solutions/*.ipynb")]):
        print(name, flush=True)
        refresh(Path(name))
