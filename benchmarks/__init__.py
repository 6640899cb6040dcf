"""Measuring ourselves against peers and bounds: `hyprepro bench` in a checkout; no part of the wheel."""
