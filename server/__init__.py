"""The gateway: ends media connections, samples frames, relays questions and answers. No torch."""
