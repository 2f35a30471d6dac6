"""The studio: a web page and an HTTP API that paint, for one machine and whoever is let in."""
