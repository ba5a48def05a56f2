"""How good a model is. No torch in here."""
