"""The process that owns the model: sessions, their memories and their answers."""
