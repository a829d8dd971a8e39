"""The broker between gateway and worker: an embedded Valkey, or anybody's Redis, by one URL."""
