"""Norms of convolutions from their symbol, a trigonometric polynomial with matrix coefficients."""
