"""Face shapes against scans: the protocols of the NoW benchmark and of Stirling/ESRC.

Sanyal et al., "Learning to regress 3D face shape and expression from an image without 3D
supervision", CVPR 2019; Feng et al., "Evaluation of dense 3D reconstruction from 2D face images in
the wild", FG 2018. Written from the published protocols. `docs/evaluation.md` tells how to run it.
"""
