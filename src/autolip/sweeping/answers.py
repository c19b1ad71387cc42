"""The verb: `sweep(model, example, questions)` answers a list of questions with one capture."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autolip.arguments import number, shown
from autolip.budget import stopwatch
from autolip.capture.guarded import unended
from autolip.capture.load import Network
from autolip.capture.replay import replay
from autolip.capture.torch.export import Capture, capture_model
from autolip.capture.torch.unwrapping import unwrapped
from autolip.errors import InputError, printable
from autolip.estimate import answered
from autolip.files import write
from autolip.findings import Row, versions
from autolip.graph.evaluate import evaluate
from autolip.graph.fingerprint import fingerprint
from autolip.question import Question, example_tensors
from autolip.report.content import Sheet
from autolip.report.digits import digits_down, digits_up
from autolip.report.formats import suffix_of
from autolip.report.table import aligned
from autolip.sweeping.together import Bracket, brackets
from autolip.workers import Failed, Pool, Store
from autolip.workers.pool import attempted

Progress = Callable[[str], None]

WIDTH = 0.03
"""Chosen: brackets of questions that are answered together are left so wide, relatively."""

FORMATS = (".csv", ".json", ".html")
"""Of files, by the suffix of the name."""


@dataclass(frozen=True)
class Answer:
    """One row: the bracket of one question, or why there is none."""

    name: str
    norm: str
    output: str
    region: str
    upper: float | None = None
    """Proved, or confident where `delta` is above 0."""
    lower: float | None = None
    method: str = ""
    delta: float = 0.0
    seconds: float = 0.0
    complete: bool = True
    reason: str = ""


@dataclass(frozen=True, repr=False)
class Sweep:
    """The answers to a list of questions, in order."""

    model: str
    rows: tuple[Answer, ...]
    seconds: float = 0.0
    provenance: dict[str, Any] = field(default_factory=versions)
    """What computed it, of which files: versions, hashes, the command."""

    @property
    def complete(self) -> bool:
        """False where some question has no answer, or its time ended early."""
        return all(row.complete and not row.reason for row in self.rows)

    def __repr__(self) -> str:
        return "\n".join([self.model, aligned(self.sheet), *self.reasons, self.headline])

    @property
    def sheet(self) -> Sheet:
        """A line for every question."""
        heads = ("question", "norm", "output", "region", "lower", "upper", "method", "seconds")
        return Sheet("", heads, tuple(map(_cells, self.rows)), left=4)

    @property
    def reasons(self) -> list[str]:
        """Of questions without an answer."""
        return [printable(f"{row.name}: {row.reason}") for row in self.rows if row.reason]

    @property
    def headline(self) -> str:
        """How many questions there were, and how long they took."""
        return f"{len(self.rows)} questions, {self.seconds:.2f} s"

    def save(self, path: str | Path) -> None:
        """Write .csv, .json (numbers with all their digits) or .html, a report, as the name
        ends."""
        from autolip.sweeping.page import page

        made = {".csv": self._csv, ".json": self._json, ".html": lambda: page(self)}
        write(path, made[suffix_of(Path(path), FORMATS)]())

    def _json(self) -> str:
        questions = [asdict(row) for row in self.rows]
        plain = {"model": self.model, "provenance": self.provenance, "questions": questions}
        return json.dumps(plain, indent=2) + "\n"

    def _csv(self) -> str:
        file = io.StringIO()
        writer = csv.DictWriter(file, list(Answer.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        return file.getvalue()


@unended()
def sweep(
    model: nn.Module | Callable[..., Any] | Network,
    example_inputs: Any,
    questions: Sequence[Mapping[str, Any]],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    width: float = WIDTH,
    progress: Progress | None = None,
    **defaults: Any,
) -> Sweep:
    """The brackets of many questions about one network, which is captured once.

    A question is a dictionary of options of `lipschitz` (`region`, `norm`, `output`, `method`,
    `time_budget`, ...) and perhaps a `name`; `defaults` are those of all questions.  `model` may be
    what `autolip.load` returned (then without example inputs).  `workers`, `scheduler`, `store` and
    `resume` are as for `certify`.  A question that fails is a row with its reason.

    Questions that leave the methods to "auto" and differ in their regions alone are bounded
    together, by LipSDP and pairs that climb at once; those whose bracket is wider than a relative
    `width` have calls of their own where these narrow it.  With a width of 0 all have.

    Raises InputError where a question cannot be meant, before any is answered.

        >>> import autolip, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).eval()
        >>> boxes = [{"region": autolip.Box([k, 0], [k + 1, 1])} for k in (0, 1)]
        >>> found = autolip.sweep(model, torch.zeros(1, 2), boxes, method="autolip")
        >>> [row.lower <= row.upper for row in found.rows]
        [True, True]
    """
    network = model if isinstance(model, Network) else _network(model, example_inputs)
    pool = Pool(workers, scheduler)
    return swept(network, questions, pool, store, resume, progress, width=width, **defaults)


def _network(model: Any, example_inputs: Any) -> Network:
    inner = unwrapped(model)
    capture = capture_model(inner, example_tensors(inner, example_inputs))
    is_module = isinstance(inner, nn.Module)
    name = type(inner).__name__ if is_module else getattr(inner, "__name__", "function")
    return Network(capture, name, {})


def swept(
    network: Network,
    questions: Sequence[Mapping[str, Any]],
    pool: Pool,
    store: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    width: float = WIDTH,
    **defaults: Any,
) -> Sweep:
    """`sweep` for a network that is captured already."""
    say = progress or (lambda text: None)
    elapsed = stopwatch()
    if not 0 <= number(width, "width") < 1:
        raise InputError(f"width is {width}: give a number >= 0 and below 1, or 0 for none")
    asked = [_asked(place, one, defaults, network) for place, one in enumerate(questions, 1)]
    replay(network.capture)
    here = pool.workers == 1 and pool.scheduler is None
    shared = (network.capture if here else portable(network.capture), network.name)
    with _opened(store, resume) as kept:
        keys = [_key(network.capture, *one, width) for one in asked]
        known = {n: kept.get(key) for n, key in enumerate(keys)} if kept is not None else {}
        found = {n: Answer(**row) for n, row in known.items() if row is not None}
        missing = [n for n in range(len(asked)) if n not in found]
        together = _together(shared, {n: asked[n] for n in missing}, width)
        left = [n for n in missing if n not in together]
        alone = pool.results(_answer, shared, [asked[n] for n in left])
        rows = chain(together.items(), ((left[done], result) for done, result in alone))
        for n, result in rows:
            found[n] = _row(asked[n], result)
            if kept is not None and not found[n].reason:
                kept.put(keys[n], asdict(found[n]))
            say(f"{len(found)} of {len(asked)} questions")
    return Sweep(network.name, tuple(found[n] for n in range(len(asked))), elapsed())


Named = tuple[str, Question]


def _asked(
    place: int, given: Mapping[str, Any], defaults: Mapping[str, Any], network: Network
) -> Named:
    """The question that a dictionary means, its region in the network's shape."""
    if not isinstance(given, Mapping):
        raise InputError(f"question {place} is {shown(given)}: give a dictionary of options")
    options = {**defaults, **given}
    name = str(options.pop("name", place))
    try:
        question = Question.asked(**options)
        return name, question.about(network.capture)
    except TypeError as error:
        raise InputError(f"question {name}: there is no such option ({error})") from error
    except InputError as error:
        raise InputError(f"question {name}: {error}") from error


def _together(
    shared: tuple[Capture, str], asked: Mapping[int, Named], width: float
) -> dict[int, Answer]:
    """The rows of questions that are answered together, and of those that were asked alone to see
    what that gives."""
    elapsed = stopwatch()
    alone: dict[int, Answer] = {}

    def single(number: int) -> Bracket | None:
        found = attempted(_answer, shared, asked[number])
        if isinstance(found, Failed) or found.upper is None or found.lower is None:
            return None
        alone[number] = found
        return Bracket(found.lower, found.upper)

    questions = {number: question for number, (_, question) in asked.items()}
    found = brackets(shared[0], questions, width, single)
    each = elapsed() / max(1, len(found) + len(alone))
    rows = {
        number: replace(
            _row(asked[number], None), lower=one.lower, upper=one.upper, method="lipsdp",
            seconds=each,
        )
        for number, one in found.items()
    }  # fmt: skip
    return rows | alone


def _key(capture: Capture, name: str, question: Question, width: float) -> str:
    """What a store knows an answer by: the network, the question's name and all of its options."""
    plain = {
        "norm": [question.p.value, question.q.value],
        "region": question.region.describe(),
        "output": str(question.output),
        "methods": [repr(method) for method in (*question.methods, *question.automatic)],
        "lowers": [repr(search) for search in (*question.lowers, *question.searches)],
        "units": question.units.to_dict(),
        "secants": [question.secants.kind, repr(question.secants.point)],
        "rest": [question.time_budget, question.delta, question.seed, width],
    }
    about = json.dumps([fingerprint(capture.graph), name, plain], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()


def _answer(shared: tuple[Capture, str], asked: Named) -> Answer:
    """The bracket of one question, in plain numbers."""
    capture, model = shared
    _, question = asked
    elapsed = stopwatch()
    result = answered(capture, question, model=model)
    upper, lower = result.upper, result.lower
    frame = _row(asked, None)
    return replace(
        frame,
        upper=_finite(upper),
        lower=_finite(lower),
        method="" if upper is None else upper.method,
        delta=0.0 if upper is None else upper.delta,
        seconds=elapsed(),
        complete=result.complete,
        reason="" if upper is not None or lower is not None else "no bound on either side",
    )


def _finite(row: Row | None) -> float | None:
    return None if row is None else row.value


def _row(asked: Named, found: Any) -> Answer:
    """The answer, or the row of a question without one."""
    if isinstance(found, Answer):
        return found
    name, question = asked
    norm = ":".join(question.units.named(question.p, question.q))
    region = str(question.region.describe().get("kind", "region"))
    frame = Answer(name, norm, str(question.output), region)
    return replace(frame, reason=found.reason) if isinstance(found, Failed) else frame


def portable(capture: Capture) -> Capture:
    """The same for another process: the captured graph stands for the model, which stays here; so
    that lower bounds there are those of the graph."""
    own = partial(evaluate, capture.graph)
    return replace(capture, reference=own, reference_dtype=torch.float32, native=None)


@contextmanager
def _opened(store: str | Path | None, resume: bool) -> Iterator[Store | None]:
    if store is None:
        if resume:
            raise InputError("to resume there must be a store: name its file")
        yield None
        return
    with Store.opened(store, resume) as opened:
        yield opened


def _cells(row: Answer) -> tuple[str, ...]:
    lower = "-" if row.lower is None else digits_down(row.lower)
    upper = "-" if row.upper is None else digits_up(row.upper)
    upper = "inf" if row.upper is not None and math.isinf(row.upper) else upper
    about = map(printable, (row.name, row.norm, row.output, row.region))
    return *about, lower, upper, row.method or "-", f"{row.seconds:.2f}"
