"""One certificate from file to verdict."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from autolip_check.container import Rejected, canonical, number, read, require
from autolip_check.graph import assumptions, read_network
from autolip_check.onnx import initializers, places_of
from autolip_check.proof import NORMS, checked, concluded


@dataclass(frozen=True)
class Verdict:
    """What is proved, and under which assumptions."""

    claim: str
    network: str
    assumed: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"proved: {self.claim}", f"network: {self.network}", "assuming"]
        return "\n".join(lines + [f"  - {sentence}" for sentence in self.assumed])


def check(path: Path, model: Path | None = None) -> Verdict:
    """The verdict on a certificate; Rejected, with the reason, where it does not hold or is not understood."""
    try:
        return _check(path, model)
    except OSError as error:
        raise Rejected(f"{error.filename} cannot be read: {error.strerror}") from error
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError, RuntimeError) as error:
        raise Rejected(f"not in the format: {type(error).__name__} {error}") from error


def _check(path: Path, model: Path | None) -> Verdict:
    document, tensors = read(path)
    stored = initializers(model) if model else {}
    tensors = {name: array for name, (_, array) in stored.items()} | tensors
    require(set(document) == {"format", "version", "claim", "graph", "proof", "provenance"}, "unknown fields")
    require((document["format"], document["version"]) == ("autolip certificate", 1), "the format is not known")
    claim, graph = document["claim"], document["graph"]
    require(set(claim) == {"value", "norms", "certainty", "delta", "network"}, "the claim has unknown fields")
    value, delta, (p, q) = number(claim["value"]), number(claim["delta"]), claim["norms"]
    require(p in NORMS and q in NORMS, "a norm is not known")
    require(claim["certainty"] == ("confident" if delta else "proved"), "certainty and delta contradict each other")
    digest = hashlib.sha256(canonical(graph).encode()).hexdigest()
    require(claim["network"] == digest, "the claim is about another network")
    network = read_network(graph, tensors)
    facts = checked(document["proof"], network, tensors, delta)
    total = concluded(facts, network, p, q)
    require(total <= value, f"the facts show {float(total)!r}, not {value!r}")
    derived, assumed = assumptions(network)
    sure = f"except with probability {delta:g} over the checker's random vectors" if delta else "deterministically"
    region = graph["region"].get("kind", "?")
    shape = " x ".join(map(str, network[network.input].shape))
    return Verdict(
        f"||f(x) - f(y)||_{q} <= {value!r} ||x - y||_{p} for all x, y {region}, {sure}",
        f"{digest[:16]}, {len(network.vertices)} operations on an input of {shape}",
        (
            "f is the network of this graph: its capture from the model was not repeated",
            *((f"{', '.join(sorted(set(derived)))} are what these names mean",) if derived else ()),
            *assumed,
            *(places_of(graph, stored) if model else ()),
        ),
    )
