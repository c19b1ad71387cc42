"""Singular values and norms that are not bounds: from below, or without their rounding errors."""
