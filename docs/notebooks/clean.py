"""Store the notebooks beside this file as they are kept: without outputs, counts and marks of a
machine.

python docs/notebooks/clean.py
"""

from pathlib import Path

import nbformat

__all__ = ["cleaned"]

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def cleaned(text: str) -> str:
    """The same notebook (JSON text) with nothing a run leaves in it; of a cell's metadata only its
    tags stay.
    """
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata = nbformat.from_dict(_METADATA)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


if __name__ == "__main__":
    for path in sorted(Path(__file__).parent.glob("*.ipynb")):
        path.write_text(cleaned(path.read_text(encoding="utf-8")), encoding="utf-8")
