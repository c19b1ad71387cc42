"""From PyTorch models and exported programs to graphs."""
