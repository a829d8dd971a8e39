"""How the embedded model is made: rendered streams, questions, and the trainer."""
