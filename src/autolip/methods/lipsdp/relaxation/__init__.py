"""What a network is to LipSDP, whatever the multipliers: constraints, a chain, matrices, blocks."""
