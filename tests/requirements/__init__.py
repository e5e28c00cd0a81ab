"""How the pins are kept."""
