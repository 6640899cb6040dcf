"""Collections: how experts are trained, and how their policies and episodes become stores."""
