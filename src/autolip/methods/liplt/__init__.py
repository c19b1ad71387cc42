"""LipLT: a linear part through the centres of the slopes, and small remainders."""
