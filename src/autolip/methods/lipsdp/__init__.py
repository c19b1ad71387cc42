"""LipSDP by the vector power method: the ascent, the statement it finds, and its proof."""
