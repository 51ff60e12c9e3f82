"""How fast a student runs here, engine by engine, and how far that is from what the machine can."""
