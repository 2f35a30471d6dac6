"""The methods of this package, a file each: `fast.py` has `FAST`, which is `method="fast"`."""
