"""A session's KV memory and the policies that compress it."""
