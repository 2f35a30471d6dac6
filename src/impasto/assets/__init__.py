"""Embedded weights, read through importlib.resources. Their model cards lie beside them."""
