"""The tree of a search as a fact that can be checked without this program."""

from torch import Tensor

from autolip.certificates import PiecesFact, Proof
from autolip.errors import InputError, Refusal
from autolip.methods.exact.record import Record
from autolip.methods.method import Problem
from autolip.piecewise.at_zero import NAMED
from autolip.piecewise.network import Network, network_of
from autolip.regions import Everywhere
from autolip.rounded import Rounded
from autolip.values import Upper

EXCESS = 1e-9
"""Chosen: how far a bound is raised, so that roundings of the check fit in."""

WIDEST = 2048
"""Defined by the check: entries of a value of which it writes exact matrices, at most."""

DERIVED = {"everywhere", "box", "ball"}
"""Kinds of regions that the check knows by numbers; on bounded ones it finds ranges itself."""


def written(problem: Problem) -> Network | Refusal:
    """The network in matrices; everywhere, on boxes and on balls without what ranges say of its
    pieces: the search finds that itself, by steps that can be checked."""
    kind = problem.region.describe()["kind"]
    bounded = problem.region.is_bounded(problem.graph.input_shape)
    if kind in DERIVED and (bounded or kind == "everywhere"):
        network = everywhere(problem)
        if isinstance(network, Network):
            return network.on(problem.region)
    known = problem.ranges, problem.readouts, problem.scale
    return network_of(problem.graph, problem.region, *known)


def everywhere(problem: Problem) -> Network | Refusal:
    """The network on all inputs."""
    return network_of(problem.graph, Everywhere(), {}, problem.readouts, problem.scale)


def constants(problem: Problem, network: Network) -> dict[str, Rounded]:
    """What the operands of its functions are at 0, by the names of these."""
    found = {}
    for name, layer in zip(network.names, network.layers, strict=True):
        shape = problem.everywhere[name].shape
        offset = layer.offset
        found[name] = Rounded(offset.value.reshape(shape), offset.error.reshape(shape))
    return found


def with_output(problem: Problem, network: Network) -> dict[str, Rounded]:
    """The same, and what the output is there."""
    offset = network.output.offset
    shape = problem.everywhere.output_shape
    own = Rounded(offset.value.reshape(shape), offset.error.reshape(shape))
    return constants(problem, network) | {problem.everywhere.output: own}


def certified(problem: Problem, network: Network, record: Record, value: Upper) -> Proof:
    """The proof of a bound by the tree that showed it.

    Raises InputError where the check would not follow it.
    """
    graph = problem.everywhere
    if problem.centre is not None:
        raise InputError("trees of chords from one point are not checked")
    if problem.scale is not None:
        raise InputError("a tree is checked in the units of the model")
    if problem.region.describe()["kind"] not in DERIVED:
        raise InputError("a tree is checked everywhere, on boxes and on balls")
    for name in network.names:
        operation = graph[name].operation
        if operation not in NAMED:
            raise InputError(f"the pieces of {operation} do not follow from its name")
    largest = max(vertex.shape.numel() for vertex in graph)
    if largest > WIDEST:
        raise InputError(f"a value of {largest} entries is too large for the exact check")
    whole = network.on(network.region)
    if not (_same(whole.first, network.first) and _same(whole.last, network.last)):
        raise InputError("ranges that the check does not derive leave out pieces")
    tree = record.tree(whole.first)
    raised = value.value * (1 + EXCESS)
    fact = PiecesFact(graph.input, graph.output, problem.p, problem.q, raised, tree)
    return Proof(graph, (fact,), constants(problem, network))


def _same(a: Tensor, b: Tensor) -> bool:
    return bool((a == b).all())
