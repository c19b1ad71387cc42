"""Closed-form bounds from a recursion over layers: ellipsoids, or one small matrix a frequency."""
