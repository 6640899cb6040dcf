"""`python -m hyprepro.text` computes the kept vectors of the bundled descriptions anew."""

from __future__ import annotations

from hyprepro.text.descriptions import TaskDescriptions, keep

if __name__ == "__main__":
    keep(TaskDescriptions())
