"""From records to numbers, intervals and tables. Nothing here trains, simulates or reads a store."""
