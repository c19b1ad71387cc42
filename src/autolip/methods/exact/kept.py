"""A search in a file, to go on with after whatever ended it.

An .npz archive of numbers: the tree as in a certificate, the cases that are open with what is known
of each, and the points that were met.  Nothing in it is executed, and it is there as a whole or not
at all.  Bounds in it are believed: it is refused where it is about anything else than what is
asked, by the very version that wrote it.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autolip.budget import WALL
from autolip.certificates import CaseTree
from autolip.errors import InputError, OutputError, printable
from autolip.files import check_writable, write
from autolip.graph.fingerprint import fingerprint
from autolip.methods.exact.cases import Case
from autolip.methods.exact.record import ENTRIES, Record
from autolip.methods.exact.tree import Tree
from autolip.methods.method import Problem
from autolip.operators.norms.rounding import rounded_matrix
from autolip.piecewise.points import Points
from autolip.piecewise.relaxed import Vectors
from autolip.rounded import Rounded

ENDING = ".tree"
"""Defined by docs/exact.md: what is added to the name of a result's file."""

FORMAT = "autolip tree 1"
"""Defined: what the first entry of such a file says."""

EVERY, PART = 10.0, 0.05
"""Chosen: seconds between two writings at least, and the part of the time that they may take."""

BROKEN = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, StopIteration)
"""What comes of reading what is no such archive, or a damaged one, beside zipfile's own error."""


@dataclass
class Kept:
    """The file of a search, and what this is about: version, network and question."""

    path: Path
    about: dict[str, str]
    due: float = 0.0
    failed: str = ""
    """Why it could not be written."""

    @classmethod
    def opened(cls, path: str | Path, resume: bool, problem: Problem, tolerance: float) -> "Kept":
        """The file for a question about a network; InputError where `check_free` raises it."""
        check_free(path, resume)
        return cls(Path(path), about(problem, tolerance))

    @property
    def is_there(self) -> bool:
        """Whether there is something to go on with."""
        return self.path.exists() and self.path.stat().st_size > 0

    @property
    def note(self) -> str:
        """What is said of it."""
        return self.failed or f"its tree is kept in {_named(self.path)}, to be resumed"

    def save_now_and_then(self, tree: Tree) -> None:
        """Write the search where that was last done some time ago."""
        if WALL.now() >= self.due:
            self.save(tree)

    def save(self, tree: Tree) -> None:
        """Write the search, unless a step was broken off; what fails is said, and does not end
        it."""
        began = WALL.now()
        if tree.held:
            return
        try:
            write(self.path, _written(tree, self.about))
            self.failed = ""
        except OutputError as error:
            self.failed = str(error)
        ended = WALL.now()
        self.due = ended + max(EVERY, (ended - began) / PART)

    def restore(self, tree: Tree) -> None:
        """Go on with what the file holds; InputError where it is about something else, or
        damaged."""
        header, arrays = _read(self.path)
        for key, what in (
            ("version", f"was written by autolip {header.get('version')}, another version"),
            ("network", "is about another network, or other weights"),
            ("question", "answers another question: norms, region, output, units or tolerance"),
        ):
            if header.get(key) != self.about[key]:
                raise InputError(f"{_named(self.path)} {what}: it cannot be resumed here")
        try:
            _restored(tree, header, arrays)
        except BROKEN as error:
            raise _damaged(self.path) from error


def check_free(path: str | Path, resume: bool) -> None:
    """InputError where the file cannot be written, or is there already and not to go on with."""
    path = Path(path)
    check_writable(path)
    if path.exists() and path.stat().st_size and not resume:
        raise InputError(
            f"{_named(path)} is there already: resume to go on with what it holds, or remove it"
        )


def about(problem: Problem, tolerance: float) -> dict[str, str]:
    """What a search is about."""
    asked = [
        problem.p.value,
        problem.q.value,
        problem.region.describe(),
        tolerance,
        *(None if x is None else x.flatten().tolist() for x in (problem.scale, problem.centre)),
    ]
    question = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for operator in problem.readouts:
        matrix = rounded_matrix(operator)
        question.update(repr((operator.in_size, operator.out_size)).encode())
        if isinstance(matrix, Rounded):
            question.update(matrix.value.numpy().tobytes())
    return {
        "version": version("autolip"),
        "network": fingerprint(problem.graph),
        "question": question.hexdigest(),
    }


def forget(path: Path) -> None:
    """Remove the file of a search that is finished."""
    if path.exists() and _read(path)[0]["finished"]:
        path.unlink()


def _written(tree: Tree, about: dict[str, str]) -> bytes:
    """The search as the bytes of a file."""
    header = {
        "format": FORMAT,
        **about,
        "finished": tree.finished,
        "settled": tree.settled,
        "seconds": WALL.now() - tree.began,
        **{name: getattr(tree, name) for name in ("nodes", "leaves", "empty")},
    }
    arrays = {name: value.numpy() for name, value in _tensors(tree).items()}
    file = io.BytesIO()
    arrays["header"] = np.array(json.dumps(header))
    np.savez(file, **arrays)  # type: ignore[arg-type]  # no array is named as an option of it is
    return file.getvalue()


def _tensors(tree: Tree) -> dict[str, Tensor]:
    network, record = tree.network, tree.record
    whole = record.tree(torch.zeros_like(network.first))
    rank = {number: rank for rank, number in enumerate(record.ends())}
    cases = [case for _, _, case in tree.open if case.node in rank]
    ends = [torch.stack([case.first, case.last, *case.cut]) for case in cases]
    none = torch.zeros(0, 4, network.neurons, dtype=torch.int64)
    points = tree.best.joined(tree.points)
    found = {
        **{part.name: getattr(whole, part.name) for part in fields(CaseTree)},
        "rank": torch.tensor([rank[case.node] for case in cases], dtype=torch.int64),
        "bound": torch.tensor([case.bound for case in cases], dtype=torch.float64),
        "ends": (torch.stack(ends) if ends else none).short(),
        "energy": torch.stack([case.energy for case in cases]) if cases else none[:, 0].double(),
        "point": points.x,
        "pattern": points.pattern.short(),
        "slope": points.slope,
    }
    known = [case.vectors for case in cases if case.vectors is not None]
    if known and len(known) == len(cases):
        vectors = Vectors.joined(known)
        found |= {"x": vectors.x.float(), "u": vectors.u.float()}
    return found


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What is in a file; InputError where it is none of these."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            header = json.loads(str(stored["header"]))
            if header["format"] != FORMAT:
                raise ValueError(header["format"])
            names = [name for name in stored.files if name != "header"]
            return header, {name: torch.from_numpy(stored[name]) for name in names}
    except (*BROKEN, zipfile.BadZipFile) as error:
        raise _damaged(path) from error


def _restored(tree: Tree, header: dict[str, Any], arrays: dict[str, Tensor]) -> None:
    """The search as it was."""
    network = tree.network
    stored = CaseTree(*(arrays[part.name] for part in fields(CaseTree)))
    record = Record.of(stored, network.inputs)
    ends = list(record.ends())
    starts: list[Vectors | None] = [None] * len(arrays["rank"])
    if "x" in arrays:
        vectors = Vectors(arrays["x"].double(), arrays["u"].double())
        starts = [vectors[number] for number in range(len(starts))]
    points = Points(arrays["point"], arrays["pattern"].long(), arrays["slope"])
    if points.pattern.shape != (len(points), network.neurons):
        raise ValueError("points of another network")
    cases = (arrays["rank"], arrays["bound"], arrays["ends"].long(), arrays["energy"])
    told = zip(*cases, starts, strict=True)
    for rank, bound, (first, last, *cut), energy, start in told:
        node = ends[int(rank)]
        fact = record.nodes[node].fact or ENTRIES
        tree.push(Case(first, last, (cut[0], cut[1]), node, float(bound), fact, energy, start))
    tree.record, tree.settled, tree.held = record, float(header["settled"]), 0.0
    tree.nodes, tree.leaves, tree.empty = (header[name] for name in ("nodes", "leaves", "empty"))
    tree.began -= float(header["seconds"])
    tree.best = points[torch.tensor([0])]
    tree.points = tree.points.joined(points[torch.arange(1, len(points))])


def _damaged(path: Path) -> InputError:
    return InputError(f"{_named(path)} is damaged, or no tree of a search: it cannot be resumed")


def _named(path: Path) -> str:
    return printable(str(path))
