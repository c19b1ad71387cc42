"""Margins bounded directly: the least value of a quadratic relaxation over the region, in which
every relu may be anywhere between its two pieces, proved by multipliers."""
