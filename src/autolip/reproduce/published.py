"""The tables of Virmaux and Scaman (NeurIPS 2018), by column and number of layers.

Their spectral norms are power iterations and their greedy search is a local one, both from below,
so the first columns are estimates of upper bounds; the last ones are norms of Jacobians at points,
attained up to rounding.
"""

Table = dict[str, dict[str, float]]
"""Column -> label of the network -> value."""


def _by_layers(columns: dict[str, tuple[float, ...]]) -> Table:
    depths = (4, 5, 7, 10)
    return {
        name: {f"{depth} layers": value for depth, value in zip(depths, values, strict=True)}
        for name, values in columns.items()
    }


MLP = _by_layers(
    {
        "Frobenius": (648.2, 4283.1, 22341.0, 7343800.0),
        "AutoLip": (33.04, 134.4, 294.6, 19248.2),
        "SeqLip": (21.47, 72.87, 130.2, 2463.44),
        "Greedy SeqLip": (21.47, 72.87, 130.2, 2463.36),
        "data set": (4.36, 6.77, 5.4, 10.04),
        "annealing": (4.55, 5.8, 5.27, 5.77),
        "grid search": (6.56, 7.1, 6.51, 17.1),
    }
)

CNN = _by_layers(
    {
        "AutoLip": (174.0, 790.1, 12141.0, 4.5e6),
        "Greedy SeqLip": (86.0, 335.0, 3629.0, 8.2e5),
        "data set": (12.64, 16.79, 31.22, 38.26),
        "annealing": (25.5, 22.2, 43.6, 107.8),
    }
)

ALEXNET: Table = {"AutoLip": {"AlexNet": 3.62e7}, "Greedy SeqLip": {"AlexNet": 5.45e6}}
