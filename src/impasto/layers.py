"""Layers by the names of the field, for presets, encoders and sheets alike."""

__all__ = ["STYLE_LAYERS"]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Where style is read and compared: the first layer of every block (Gatys et al. 2016)."""
