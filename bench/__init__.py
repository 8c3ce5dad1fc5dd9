"""How fast it is, as ratios within one run: `make bench`, or `python -m bench seats|bus|start|all`."""
