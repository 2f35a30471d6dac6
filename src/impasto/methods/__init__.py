"""The ways to paint: what a method is, those there are, and renderers made of renderers."""
