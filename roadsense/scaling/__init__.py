"""How fast a training would be with more env runners, and what it would cost: a small model of an iteration, and the costs it was given."""
