"""The paper's networks, one file for each of its symbols: E and D, (phi, psi, W), G, F, Q and HypFormer."""
