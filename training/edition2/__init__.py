"""The second edition of lookback-mini: more objects, several at once, words, photographs, times."""
