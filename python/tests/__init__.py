"""Run by `python3 -m unittest discover -s python/tests -t python` (pytest runs them too)."""
