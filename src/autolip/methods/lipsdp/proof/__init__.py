"""From a statement to a proof: by the recursion, by a factorisation, by a norm."""
