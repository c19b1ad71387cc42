"""A certificate: what is claimed, of which network, and the facts from which it follows."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autolip.certificates.conclusion import concluded
from autolip.certificates.encode import Document, Tensors, admitted, encode_graph
from autolip.certificates.proof import (
    CasesFact,
    CaseTree,
    EntriesFact,
    Fact,
    Fork,
    Leaf,
    MarginFact,
    NormFact,
    PiecesFact,
    Proof,
    QuadraticFact,
    RowFact,
)
from autolip.errors import InputError
from autolip.files import write
from autolip.graph.graph import Graph
from autolip.graph.views import SlopeGraph
from autolip.norms import Norm
from autolip.regions import read
from autolip.rounded import Rounded
from autolip.units import UNITS, Units

FORMAT = "autolip certificate"

VERSION = 1
"""Defined here: the version of the file format."""

REGIONS = ("everywhere", "box", "ball", "scaled ball", "clipped ball")
"""Kinds of which the checker knows what is settled, as it does of products of them; of any other it
lets all entries move."""


@dataclass(frozen=True)
class Certificate:
    """A claim ||f(x) - f(y)||_q <= value ||x - y||_p on a region, and its proof, as canonical JSON
    and tensors."""

    document: Document
    tensors: Tensors = field(repr=False)

    @staticmethod
    def of(
        proof: Proof,
        bound: tuple[float, float],
        p: Norm,
        q: Norm,
        region: Document,
        graph: Graph | None,
        provenance: Document,
        centre: Sequence[float] | None = None,
        units: Units = UNITS,
    ) -> "Certificate":
        """The certificate of a bound (value, delta), its value raised to what the facts show: they
        leave some room; of slopes from the `centre` alone where there is one, and of lengths in
        `units`.

        Raises InputError where the bound is infinite, or rests on what the format cannot say.
        """
        value, delta = bound
        if math.isinf(value):
            raise InputError("an infinite bound has no certificate")
        shape = proof.graph.input_shape
        listed = region.get("parts", [])
        parts = [part["region"] for part in listed] if region.get("kind") == "product" else [region]
        is_known = all(part.get("kind") in REGIONS for part in parts)
        moving = read(region).moving(shape) if is_known else shape.numel()
        total = concluded(proof, p, q, moving)
        shown = total.value * (1 + 2.0**-48)
        if math.isinf(shown):
            raise InputError(
                "a certificate cannot say why this bound holds: an operation mixes kinds of slopes"
            )
        tensors = Tensors()
        encoded = encode_graph(proof.graph, region, graph, tensors, proof.constants)
        if any(isinstance(fact, PiecesFact) for fact in proof.facts):
            _require_exact(encoded)
        claim: Document = {
            "value": max(value * (1 + 2.0**-48), shown),
            "norms": [p.value, q.value],
            "certainty": "confident" if proof.is_random else "proved",
            "delta": delta if proof.is_random else 0.0,
        }
        if centre is not None:
            claim["centre"] = list(centre)
        claim |= {name: scale for name, scale in units.to_dict().items() if scale is not None}
        steps = [
            *(_row(fact, tensors) for fact in proof.rows),
            *(_step(fact, tensors) for fact in proof.facts),
        ]
        return Certificate._written(claim, encoded, steps, provenance, tensors)

    def of_margin(self, margin: float) -> "Certificate":
        """The same with the claim that the single output is positive on the region, a ball or what
        is left of one, where it is at least `margin` at the centre.

        Raises InputError where the bound times the radius is not below that.
        """
        change = Fraction(self.value) * Fraction(self.document["graph"]["region"]["radius"])
        if not Fraction(margin) > change:
            raise InputError(
                f"the margin {margin:g} may be used up: {float(change):g} is certified"
            )
        claim = self.document["claim"] | {"margin": margin}
        return replace(self, document=self.document | {"claim": claim})

    @staticmethod
    def of_output(
        fact: MarginFact,
        graph: SlopeGraph,
        constants: Mapping[str, Rounded],
        region: Document,
        captured: Graph,
        provenance: Document,
    ) -> "Certificate":
        """The claim that the single output is at least so much on the region; `constants` are those
        before every relu, and of the output.

        Raises InputError where the format cannot say it.
        """
        tensors = Tensors()
        encoded = encode_graph(graph, region, captured, tensors, constants)
        multipliers = {
            name: [_weights(one, tensors) for one in each]
            for name, each in fact.multipliers.items()
        }
        inputs = _weights(fact.inputs, tensors)
        claim = {"least": fact.least, "certainty": "proved", "delta": 0.0}
        steps: list[Document] = [{"step": "margin", "multipliers": multipliers, "inputs": inputs}]
        return Certificate._written(claim, encoded, steps, provenance, tensors)

    @staticmethod
    def _written(
        claim: Document,
        graph: Document,
        steps: Sequence[Document],
        provenance: Document,
        tensors: Tensors,
    ) -> "Certificate":
        """The document of a claim about a graph, which names the graph by its hash."""
        digest = hashlib.sha256(canonical(graph).encode()).hexdigest()
        document = {
            "format": FORMAT,
            "version": VERSION,
            "claim": claim | {"network": digest},
            "graph": graph,
            "proof": list(steps),
            "provenance": provenance,
        }
        return Certificate(document, tensors)

    @property
    def value(self) -> float:
        """The bound that is certified."""
        return float(self.document["claim"]["value"])

    @property
    def method(self) -> str:
        """The method that gave the bound."""
        return str(self.document["provenance"].get("method", ""))

    def content(self, model: str | Path | None = None) -> bytes:
        """The file: tensors as safetensors, the document as canonical JSON in its metadata.

        Weights that an ONNX `model` holds as they are, or transposed, are left out: they are found
        there by their hash.
        """
        from safetensors.numpy import save

        held = {} if model is None else _held(Path(model)).arrays
        arrays = self.tensors.arrays
        kept = {name: array for name, array in arrays.items() if name not in held}
        return save(kept, {"certificate": canonical(self.document)})

    def save(self, path: str | Path, model: str | Path | None = None) -> None:
        """Write the file, whole or not at all."""
        write(path, self.content(model))


def _held(model: Path) -> Tensors:
    """The initialisers of an ONNX file and their transposes, by hash."""
    try:
        import onnx
    except ImportError as error:
        raise InputError("reading an ONNX file needs onnx: pip install 'autolip[onnx]'") from error
    try:
        stored = onnx.load(model).graph.initializer
    except Exception as error:
        raise InputError(f"{model} is not an ONNX file that can be read") from error
    held = Tensors()
    for array in map(onnx.numpy_helper.to_array, stored):
        for turned in (array, array.T):
            held.name(turned)
    return held


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and the shortest digits."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _require_exact(graph: Document) -> None:
    """InputError where some weight is known up to rounding only: half-spaces need all of it."""
    for vertex in graph["vertices"]:
        maps = [edge["map"] for edge in vertex["edges"] if edge["kind"] == "exact"]
        if any(linear.get("error", 0) > 0 for linear in maps):
            where = vertex["origin"].get("place") or vertex["name"]
            raise InputError(
                f"weights at {where} are known up to rounding only (a normalisation that was "
                "folded): a tree of pieces needs them exactly"
            )


def _step(fact: Fact, tensors: Tensors) -> Document:
    admitted(torch.tensor(fact.value, dtype=torch.float64))
    step: Document = {
        "source": fact.source,
        "sink": fact.sink,
        "norms": [fact.p.value, fact.q.value],
        "value": fact.value,
        "by": fact.by,
    }
    if isinstance(fact, NormFact):
        return step | {"step": "norm"}
    if isinstance(fact, CasesFact):
        return step | {"step": "cases", "tree": _tree(fact.tree, tensors)}
    if isinstance(fact, PiecesFact):
        return step | {"step": "pieces", "tree": _cases(fact.tree, tensors)}
    if isinstance(fact, EntriesFact):
        return step | {
            "step": "entries",
            "entries": [_form(entry, tensors) for entry in fact.entries],
        }
    return (
        step
        | {"step": "quadratic", "outputs": _weights(fact.outputs, tensors)}
        | _form(fact, tensors)
    )


def _row(fact: RowFact, tensors: Tensors) -> Document:
    step = {"step": "row", "at": fact.at, "entry": fact.entry}
    return step | _form(fact, tensors)


def _form(fact: QuadraticFact | RowFact, tensors: Tensors) -> Document:
    return {
        "multipliers": _multipliers(fact.multipliers, tensors),
        "inputs": _weights(fact.inputs, tensors),
    }


def _tree(tree: Fork | Leaf, tensors: Tensors) -> Document:
    if isinstance(tree, Leaf):
        return {"multipliers": _multipliers(tree.multipliers, tensors)}
    low = _tree(tree.low, tensors)
    high = _tree(tree.high, tensors)
    return {"at": tree.at, "entry": tree.entry, "low": low, "high": high}


def _cases(tree: CaseTree, tensors: Tensors) -> Document:
    numbers = {"at": tree.at, "piece": tree.piece, "counts": tree.counts, "sides": tree.sides}
    floats = {"multipliers": tree.multipliers, "weights": tree.weights}
    return {name: tensors.indices(values) for name, values in numbers.items()} | {
        name: tensors.full(values) for name, values in floats.items()
    }


def _multipliers(multipliers: dict[str, Tensor], tensors: Tensors) -> Document:
    return {name: tensors.floats(values) for name, values in multipliers.items()}


def _weights(values: Tensor, tensors: Tensors) -> str | float:
    return tensors.floats(torch.as_tensor(values))
