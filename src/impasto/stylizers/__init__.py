"""Ways to prepare a style once and apply it many times, behind one protocol."""
