"""What `energies.py` measures: each module asks one question of a potential and of its teacher."""
