"""Re-checks a certificate of autolip from scratch: numpy and the standard library, no code shared
with what it checks.

Read in this order: container (the file), admission (which numbers are taken), maps (linear
operations), graph (the network), forms and lanczos (H >= 0), norms and symbol (operator norms),
proof (facts), conclusion (from facts to the claim), activations and linear (what names tell),
statement (what is assumed).
"""
