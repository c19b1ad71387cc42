"""From a relaxation to multipliers: the vector power method, in rounds, and a solver."""
