"""LipSDP on many questions at once: one network, slopes and read-outs with a leading axis."""
