"""How near each method comes on the networks of the zoo: exact by its own mathematics, or a stated
factor."""

import math

EXACT = 1 + 1e-6
"""Chosen: what the norm engines and the rounding of a few layers may add."""

FOUND = 1.001
"""Chosen: what a search for weights, or the margin of a multiplier, may leave."""

SDP = 1.02
"""Chosen: what a semidefinite program stopped at 1% may add."""

SEARCHED = {
    "rescaled": FOUND,
    "layerwise": FOUND,
    "theorem3": FOUND,
    "lipsdp": SDP,
    "lipsdp-cvxpy": SDP,
    "seqlip-sdp": SDP,
}
"""Methods that find their bound by a search, which ends at some tolerance."""

PRODUCTS = "autolip autolip-raw frobenius liplt rescaled"
SOLVERS = "lipsdp lipsdp-cvxpy"
LAYERS = (
    f"{PRODUCTS} eclipse-fast layerwise nonnegative seqlip-relaxed seqlip-exact seqlip "
    f"theorem3 seqlip-sdp {SOLVERS}"
)
OTHERS = "linf", "l1", "linf:l2", "l1:linf"
PATTERNS = "seqlip-relaxed seqlip-exact seqlip"

_EXACT: dict[str, str] = {
    "one neuron": f"exact {LAYERS}",
    "one leaky neuron of slope -3": f"exact {LAYERS}",
    "one leaky neuron of slope 1/4": LAYERS,
    "five neurons in a row": f"exact {LAYERS}",
    "one sign": f"nonnegative rescaled {SOLVERS}",
    "one sign behind signs": f"nonnegative rescaled layerwise {PATTERNS} theorem3",
    "one sign, steepest below 0": f"nonnegative rescaled {PATTERNS}",
    "two layers, relu": f"exact seqlip-exact seqlip seqlip-sdp {SOLVERS}",
    "two layers, leaky relu of slope -3": "exact seqlip-exact seqlip seqlip-sdp",
    "two layers, leaky relu of slope -1/2": "exact seqlip-exact seqlip",
    "two layers, prelu by channel": f"seqlip-exact seqlip seqlip-sdp {SOLVERS}",
    "diagonal layers, slope -3": f"exact nonnegative rescaled {PATTERNS}",
    "turns and reflections": (
        f"autolip autolip-raw eclipse-fast layerwise liplt rescaled {PATTERNS} theorem3"
    ),
    "pool 3/1": f"{PRODUCTS} {SOLVERS}",
    "pool 2/1": PRODUCTS,
    "pool 3/2, padded": PRODUCTS,
    "pool 3/1, dilated": PRODUCTS,
    "pool 2/2, rounded up": PRODUCTS,
    "convolution, pool 3/1": "autolip autolip-raw liplt rescaled",
    "sort": f"{PRODUCTS} {SOLVERS}",
    "largest entry": PRODUCTS,
    "x - x + relu(a x)": f"autolip liplt rescaled {PATTERNS} theorem3",
    "x + relu(a x) - x": f"autolip liplt rescaled {PATTERNS} theorem3",
    "x - relu(x)": f"liplt {SOLVERS}",
    "x - 2 relu(x)": f"liplt {SOLVERS}",
    "a x - a relu(x)": f"liplt {SOLVERS}",
    "relu(x) + relu(-x)": f"liplt {SOLVERS}",
    "x + zero(relu(a x))": f"autolip autolip-raw liplt nonnegative rescaled {PATTERNS} theorem3",
    "a neuron twice": "exact",
    "alternating neurons": "exact",
    "hidden layer of rank one": "exact",
    "two pools": "exact",
    "zero x + relu(x)": "autolip autolip-raw liplt nonnegative rescaled",
    "relu(x) twice": f"nonnegative {SOLVERS}",
    "h, 2 h, h + h of one relu": "autolip liplt nonnegative rescaled",
    "x alone": "autolip autolip-raw liplt nonnegative rescaled",
    "a neuron without input": f"layerwise nonnegative {PATTERNS}",
    "a neuron that nothing reads": f"layerwise nonnegative rescaled {PATTERNS} theorem3",
    "a bottleneck of one neuron": LAYERS,
    "one output": f"rescaled {PATTERNS}",
    "graded layers": "nonnegative",
    "layers of 2^": f"rescaled {PATTERNS}",
    "diagonal layers on": f"nonnegative rescaled {PATTERNS}",
    "x^2 on a box": f"{PRODUCTS} nonnegative",
    "x y on a box": f"nonnegative {SOLVERS}",
    "3 x - x^2 on a box": "liplt",
}
"""Methods that are exact for l2 -> l2."""

_OTHERS: dict[str, str] = {
    "one neuron": "autolip autolip-raw liplt nonnegative rescaled through-l2",
    "one leaky neuron of slope -3": "autolip autolip-raw liplt nonnegative rescaled through-l2",
    "one leaky neuron of slope 1/4": "autolip autolip-raw liplt nonnegative rescaled through-l2",
    "five neurons in a row": "autolip autolip-raw liplt nonnegative rescaled through-l2",
    "one sign": "nonnegative",
    "one sign behind signs": "nonnegative",
    "one sign, steepest below 0": "nonnegative",
    "pool 3/1": "autolip autolip-raw liplt",
    "pool 2/1": "autolip autolip-raw liplt",
    "pool 3/2, padded": "autolip autolip-raw liplt",
    "pool 3/1, dilated": "autolip autolip-raw liplt",
    "sort": "autolip autolip-raw liplt",
    "largest entry": "autolip autolip-raw liplt",
    "relu(x) + relu(-x)": "liplt",
    "h, 2 h, h + h of one relu": "autolip liplt nonnegative",
}
"""Methods that are exact for the pairs of OTHERS."""

_NEARLY: dict[str, dict[str, float]] = {
    "one sign": {"layerwise": 1.03, "eclipse-fast": 1.65, "liplt": 1.6, "seqlip": 1.4},
    "two layers, relu": {
        "seqlip-relaxed": 1.001,
        "layerwise": 1.11,
        "eclipse-fast": 1.17,
        "liplt": 1.22,
    },
    "two layers, leaky relu of slope -3": {
        "seqlip-relaxed": 1.01,
        "lipsdp": 1.02,
        "rescaled": 1.28,
        "liplt": 1.29,
        "theorem3": 1.25,
    },
    "two layers, leaky relu of slope -1/2": {
        "seqlip-relaxed": 1.02,
        "rescaled": 1.25,
        "liplt": 1.29,
    },
    "two layers, prelu by channel": {
        "seqlip-relaxed": 1.001,
        "layerwise": 1.15,
        "liplt": 1.59,
        "nonnegative": 1.8,
    },
    "diagonal layers, slope -3": {"layerwise": 1.06, "theorem3": 1.4},
    "two pools": {"autolip": 1.16, "liplt": 1.16},
    "a x + b relu(a x)": {"liplt": 1.32, "rescaled": 1.37, "seqlip": 1.22},
    "relu(x) twice": {"liplt": 1.21},
    "a neuron without input": {
        "eclipse-fast": 1.05,
        "liplt": 1.06,
        "rescaled": 1.01,
        "theorem3": 1.02,
    },
    "one output": {"layerwise": 1.01, "eclipse-fast": 1.01, "liplt": 1.02, "autolip": 1.03},
    "layers of 2^": {"theorem3": 1.06, "liplt": 1.14, "autolip": 1.28},
    "relu(x) - relu(x)": {"lower": math.inf},
    "2 relu(x) - relu(2 x)": {"lower": math.inf},
    "layers of 2^530 and 2^-530": {"lower": math.inf} | dict.fromkeys(PATTERNS.split(), 1.06),
    "layers of 2^-530 and 2^530": dict.fromkeys(PATTERNS.split(), 1.06),
    "graded layers": {"lower": math.inf},
    "a neuron twice": {"seqlip": 1.15, "layerwise": 1.28},
}
"""Other methods, by which factor at most."""


def stated(name: str) -> dict[str, float]:
    """The methods for which the network of this name states a factor, and which."""
    kind = next(
        (start for start in ("layers of 2^", "diagonal layers on") if name.startswith(start)), name
    )
    exact = {title: SEARCHED.get(title, EXACT) for title in _EXACT.get(kind, "").split()}
    other = {
        f"{title} {norm}": SEARCHED.get(title, EXACT)
        for title in _OTHERS.get(kind, "").split()
        for norm in OTHERS
    }
    return exact | other | _NEARLY.get(kind, {}) | _NEARLY.get(name, {})
