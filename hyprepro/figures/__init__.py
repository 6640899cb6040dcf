"""The paper's figures, drawn from results and their records. Nothing here trains, simulates or reads a store."""
