"""Networks: encoders that read pictures, and one that paints in one pass with the styles it knows."""
