"""Contextual tasks of the DeepMind Control Suite: those that HyperZero and HyPoGen are measured on."""
