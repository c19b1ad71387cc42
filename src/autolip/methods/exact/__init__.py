"""Exact constants of piecewise linear networks, by branch and bound."""
