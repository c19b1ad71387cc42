"""The graph of a certificate beside that of the model, captured again."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from autolip import zoo
from autolip.capture.torch.export import Capture
from autolip.certificates.comparison import Arrays, Written, differences
from autolip.certificates.encode import Document, Tensors, encode_graph
from autolip.cli.network import AskedNetwork
from autolip.errors import InputError
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph
from autolip.methods import Problem
from autolip.methods.exact.certificate import constants, everywhere, with_output
from autolip.methods.seqlip.certificate import Cut, with_cuts
from autolip.norms import Norm
from autolip.operators.diagonal import Diagonal
from autolip.operators.norms import NormOptions
from autolip.outputs import parse_output
from autolip.piecewise.at_zero import told_at_zero
from autolip.piecewise.network import Network
from autolip.question import as_shape
from autolip.regions import Region, read
from autolip.rounded import Rounded
from autolip.secants import Secants
from autolip.units import Units

Constants = dict[str, Rounded]


def compared(document: Document, tensors: Arrays, asked: AskedNetwork) -> list[str]:
    """What the graph of a certificate has otherwise than the model, captured again; empty where it
    is the model's."""
    provenance = document["provenance"]
    graph = document["graph"]
    claim = document["claim"]
    shape = graph["vertices"][0]["shape"]
    output = parse_output(provenance.get("output", "all"))
    layer = provenance.get("layer", output.layer)
    network = _as_certified(asked, provenance, shape).load(layer)
    if list(network.capture.graph.input_shape) != shape:
        return [
            f"the input has shape {shape}, the model's has "
            f"{list(network.capture.graph.input_shape)}"
        ]
    region = region_of(graph["region"], shape)
    p, q = (Norm(name) for name in claim.get("norms", ("l2", "l2")))
    given = claim.get("centre")
    secants = Secants.asked("any" if given is None else "centre", given)
    centre = secants.centre(region, torch.Size(shape))
    units = _units_of(claim, network.capture)
    scale = units.of_input
    problem = Problem.pose(network.capture.graph, region, p, q, NormOptions(), centre, scale)
    shares = units.shares()
    if shares is not None:
        problem = problem.reading(Diagonal.folded(*shares))
    readout = output.readout(problem.slopes.output_shape)
    if readout is not None:
        problem = problem.reading(readout)
    claimed = Written(graph, tensors)
    found = list[list[str]]()
    is_told = "constants" in graph
    for view, known in _views(problem, claimed, claim):
        values = known
        if is_told and not known:
            values = told_at_zero(problem.graph, view, region)
        again = Tensors()
        encoded = encode_graph(view, graph["region"], problem.graph, again, values)
        found.append(differences(claimed, Written(encoded, again.arrays)))
        if not found[-1]:
            break
    return min(found, key=len)


def _as_certified(asked: AskedNetwork, provenance: Document, shape: list[int]) -> AskedNetwork:
    """The input and the shape that the certificate is about, unless something else was asked
    for."""
    told = _inputs(provenance, shape)
    varying = asked.varying or tuple(told)
    known = asked.input_shape or asked.model in zoo.names() or Path(asked.model).suffix == ".pt2"
    shapes = tuple((name, own) for name, own in told.items() if name in varying)
    return replace(
        asked,
        varying=varying,
        input_shape=asked.input_shape if known else shapes or ((None, tuple(shape)),),
    )


def _inputs(provenance: Document, shape: list[int]) -> dict[str, tuple[int, ...]]:
    """The inputs that vary, as the certificate names them, with their shapes."""
    several = provenance.get("inputs")
    if several is not None:
        try:
            return {str(one["name"]): as_shape(one["shape"]) for one in several}
        except (InputError, TypeError, LookupError):
            return {}
    told = provenance.get("input")
    return {told: tuple(shape)} if isinstance(told, str) else {}


def _units_of(claim: Document, capture: Capture) -> Units:
    """The units that a claim is in."""
    asked = Units.asked(claim.get("input_scale"), claim.get("output_scale"))
    return asked.over({}, capture.graph.input_shape, capture.graph.output_shape)


def region_of(entry: Document, shape: list[int]) -> Region:
    """The region that a certificate speaks of."""
    return read(entry).shaped(torch.Size(shape))


def _views(
    problem: Problem, claimed: Written, claim: Document
) -> Iterator[tuple[SlopeGraph, Constants]]:
    """The graphs that methods certify: operation by operation, lowered, with the layers of a chain
    cut; everywhere, with the constants on which pieces depend."""
    network = everywhere(problem) if "constants" in claimed.graph else None
    if isinstance(network, Network):
        told = with_output if "least" in claim else constants
        yield problem.everywhere, told(problem, network)
    vertices = claimed.vertices()
    names = problem.slopes.by_name
    cuts = {
        name: cut for name in names if (cut := _cut(name, vertices, claimed.tensors)) is not None
    }
    if all(source in names for source, _ in cuts.values()):
        yield with_cuts(problem.slopes, cuts), {}
    yield without_fixed(problem.lowered), {}
    if problem.entries is not None:
        yield without_fixed(problem.entries), {}


def _cut(layer: str, claimed: dict[str, Document], tensors: Arrays) -> tuple[str, Cut] | None:
    """W = [P, g I] [Q; (W - P Q) / g] as the certificate cuts a layer: any P, Q and power of two g
    do.

    Only these three are read off, and the steps made again with them: what else is there must
    agree.
    """
    try:
        (to_q,) = claimed[f"{layer}:q"]["edges"]
        _, from_q = claimed[f"{layer}:rest"]["edges"]
        (read,) = claimed[to_q["source"]]["edges"]
        _, shrunk = claimed[f"{layer}:cut"]["edges"]
        (shrink,) = claimed[shrunk["source"]]["edges"]
        right, left = (
            torch.from_numpy(tensors[edge["map"]["weight"]].astype("float64"))
            for edge in (to_q, from_q)
        )
        gain = 1 / float(shrink["map"]["weight"])
    except (LookupError, ValueError, TypeError, ArithmeticError):
        return None
    if math.frexp(gain)[0] != 0.5:
        return None
    return read["source"], Cut(-left, right, gain)
