"""The published procedure in eager PyTorch, ours to compare with. Needs the extra `torch`."""
