"""The paper's own objects: a symbol or equation is found by file name."""
