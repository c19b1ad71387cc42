"""Piecewise linear networks: pieces of every neuron, linear regions, points inside them."""
