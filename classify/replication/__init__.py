"""The replication package of a run: made by ``bundle``, and recomputed by ``verify``."""
