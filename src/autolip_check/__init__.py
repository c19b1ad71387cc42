"""Re-checks a certificate of autolip from scratch: numpy and the standard library, no code shared with what it checks.

Read in this order: container (the file), maps (linear operations), graph (the network), forms (H >= 0), norms
(operator norms), proof (from facts to the claim).
"""
