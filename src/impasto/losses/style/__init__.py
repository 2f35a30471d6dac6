"""The style losses, a file each: `w2.py` has `W2`, which is `style_loss="w2"`."""
