"""What `lipschitz` returns: every bound with its direction, certainty and cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from typing import Any

from autolip.certificates import Certificate, Proof
from autolip.errors import Contradiction, InputError
from autolip.graph.graph import Graph
from autolip.norms import Norm
from autolip.outputs import Output
from autolip.report.table import render_html, render_text
from autolip.values import Estimate, Lower, Upper

CONSTANT = "the output does not depend on the input"
SCHEMA = 1
"""Version of the dictionary and JSON form."""


def unproved() -> None:
    """The proof of a row that has none."""


@dataclass(frozen=True)
class Row:
    """One line of the table: what a method said, or why it refused, and what it cost.

    `kind` is upper, lower, estimate or refusal; `passes` counts forward plus backward passes of the
    network's linear operations at batch 1.
    """

    method: str
    kind: str
    value: float | None = None
    certainty: str | None = None
    delta: float = 0.0
    seconds: float = 0.0
    passes: float = 0.0
    refusal: str | None = None
    notes: tuple[str, ...] = ()
    witness: Any = None
    proof: Callable[[], Proof | None] = field(default=unproved, repr=False)

    @staticmethod
    def of(method: str, value: Upper | Lower | Estimate, **cost: Any) -> "Row":
        """The row of a directed value."""
        if isinstance(value, Upper):
            return Row(method, "upper", value.value, value.certainty.value, value.delta, **cost)
        if isinstance(value, Lower):
            return Row(method, "lower", value.value, witness=value.witness, **cost)
        return Row(method, "estimate", value.value, **cost)

    def __getstate__(self) -> dict[str, Any]:
        """A pickled row keeps its numbers; its proof reaches into the network and stays behind."""
        return self.__dict__ | {"proof": unproved}

    def to_dict(self) -> dict[str, Any]:
        """Plain data; infinities as the string "inf", the witness left to the summary, no proof."""
        row = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("witness", "proof")
        }
        row["value"] = _plain_number(self.value)
        row["notes"] = list(self.notes)
        return row


@dataclass(frozen=True)
class Pair:
    """The margin between outputs i and j: bounds on the Lipschitz constant of f_i - f_j."""

    i: int
    j: int
    upper: Row | None
    lower: Row | None


@dataclass(frozen=True)
class Result:
    """A bracket on the Lipschitz constant, and how each side of it was obtained."""

    model: str
    p: Norm
    q: Norm
    region: dict[str, Any]
    output: Output
    bounds: tuple[Row, ...]
    upper: Row | None
    lower: Row | None
    assumptions: dict[str, Any]
    notes: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    complete: bool = True
    """False where the time budget ended early: the bounds hold, tighter ones were not reached."""
    options: dict[str, Any] = field(default_factory=dict)
    capture_seconds: float = 0.0
    """What capturing the network and replaying it took, before the clock of a time budget
    started."""
    graph: Graph | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises Contradiction where an upper bound is below an attained one, of the whole or of
        one pair."""
        _agree(
            str(self.output),
            [*self.bounds, *(row for row in (self.upper, self.lower) if row is not None)],
        )
        for pair in self.pairs:
            _agree(
                f"{pair.i}-{pair.j}", [row for row in (pair.upper, pair.lower) if row is not None]
            )

    def __getstate__(self) -> dict[str, Any]:
        """A pickled result keeps every number and witness; write its certificate before."""
        return self.__dict__ | {"graph": None}

    def certificate(self) -> Certificate:
        """The smallest upper bound whose method puts down why it holds, for `python -m
        autolip_check`.

        Raises InputError where there is none.
        """
        if CONSTANT in self.notes:
            raise InputError(f"nothing to certify: {CONSTANT}, and the constant is 0")
        if self.graph is None:
            raise InputError("a pickled result comes back without a certificate: write it before")
        uppers = [
            (row.value, row) for row in self.bounds if row.kind == "upper" and row.value is not None
        ]
        missing = list[str]()
        for _, row in sorted(uppers, key=lambda pair: pair[0]):
            try:
                proof = row.proof()
                if proof is not None:
                    return self._certified(row, proof)
                missing.append(f"{row.method} comes without a proof")
            except InputError as reason:
                missing.append(f"{row.method}: {reason}")
        why = ", ".join(missing) or "there is no upper bound"
        raise InputError(f"nothing to certify: {why}; choose lipsdp or autolip")

    def _certified(self, row: Row, proof: Proof) -> Certificate:
        """The certificate of one row's bound; delta is over the checker's random vectors."""
        assert row.value is not None and self.graph is not None
        bound = row.value, self.options.get("delta", 1e-9)
        known = self.assumptions
        inputs: dict[str, Any] = {
            key: known[key] for key in ("input", "input_shape") if key in known
        }
        provenance = {
            "producer": "autolip",
            "version": version("autolip"),
            "model": self.model,
            "output": self._measured(),
            "method": row.method,
            "seed": self.options.get("seed"),
            **inputs,
        }
        return Certificate.of(proof, bound, self.p, self.q, self.region, self.graph, provenance)

    def _measured(self) -> str:
        """The output that the rows are about: of all differences, the one with the largest upper
        bound."""
        if not self.pairs:
            return str(self.output)
        worst = max(
            self.pairs, key=lambda pair: math.inf if pair.upper is None else pair.upper.value or 0.0
        )
        return f"{worst.i}-{worst.j}"

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON form (docs/json.md)."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "norm": {"input": self.p.value, "output": self.q.value},
            "region": self.region,
            "output": str(self.output),
            "upper": _summary(self.upper),
            "lower": _summary(self.lower),
            "bounds": [row.to_dict() for row in self.bounds],
            "pairs": [
                {"i": x.i, "j": x.j, "upper": _summary(x.upper), "lower": _summary(x.lower)}
                for x in self.pairs
            ],
            "assumptions": self.assumptions,
            "notes": list(self.notes),
            "complete": self.complete,
            "capture_seconds": self.capture_seconds,
            "options": self.options,
        }

    def __repr__(self) -> str:
        return render_text(self)

    def _repr_html_(self) -> str:
        return render_html(self)


def _agree(output: str, rows: Sequence[Row]) -> None:
    """No upper bound may be below a lower one: both are rounded outward, so that no tolerance is
    called for."""
    least = min((row for row in rows if row.kind == "upper"), key=_value, default=None)
    best = max((row for row in rows if row.kind == "lower"), key=_value, default=None)
    if least is not None and best is not None and _value(best) > _value(least):
        raise Contradiction(
            f"{least.method} bounds output {output} by {least.value!r}, and {best.method} "
            f"attains {best.value!r}:"
            " one of the two is false, so neither is given; this is a defect of autolip, "
            "please report this network"
        )


def _value(row: Row) -> float:
    return 0.0 if row.value is None else row.value


def _summary(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    summary = {
        "value": _plain_number(row.value),
        "method": row.method,
        "certainty": row.certainty,
        "delta": row.delta,
    }
    if row.kind == "lower":
        summary["witness"] = row.witness.to_dict() if row.witness is not None else None
    return summary


def _plain_number(value: float | None) -> float | str | None:
    return "inf" if value is not None and math.isinf(value) else value
