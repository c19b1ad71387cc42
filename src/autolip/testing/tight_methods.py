"""The law that every method is nearly tight somewhere: a bound of it that is a few per cent too
small is seen there."""

import math
from collections.abc import Iterator, Sequence

from autolip.methods import Bound, Method
from autolip.norms import parse_norms
from autolip.testing.tight import Tight, check_tight, compare, said_of
from autolip.testing.tight_networks import tight_networks
from autolip.testing.violation import LawViolation
from autolip.values import Estimate, Upper

UNSTATED = 1.02
"""Chosen: by which factor a method that states nothing may miss the constant of one neuron."""

NEURON = "one neuron"
"""The network on which such a method is tried: the product of two norms is its constant."""


def check_tight_somewhere(method: Method, networks: Sequence[Tight] = ()) -> None:
    """A method comes near the constant of some network of the zoo, and is not below it.

    Of one for which a factor is stated, by the zoo or by the method itself (`tight`); where none
    is, of one neuron, in the first pair of norms that the method knows.  A method that estimates is
    no bound, and passes.  Raises LawViolation.
    """
    networks = networks or tight_networks()
    network, norm = next(_stated(method, networks), (None, ""))
    if network is not None:
        check_tight(method, network, norm)
        return
    network = next(network for network in networks if network.name == NEURON)
    norm = next(norm for norm in network.norms if parse_norms(norm) in method.norms)
    said = said_of(method, network, norm)
    if not isinstance(said, Bound):
        raise LawViolation(
            f"{method.title} says nothing about {NEURON} ({norm}): {said}; state in `tight` on "
            "which network of the tight zoo it comes near the constant"
        )
    match said.value:
        case Upper() as bound:
            compare(method, bound, network, norm, UNSTATED)
        case Estimate():
            return


def _stated(method: Method, networks: Sequence[Tight]) -> Iterator[tuple[Tight, str]]:
    """Where a factor is stated for a method."""
    for network in networks:
        for norm in network.norms:
            if math.isfinite(network.stated(method, norm)):
                yield network, norm
