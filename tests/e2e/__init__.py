"""The guard from its image in a real cluster, under real load: `python -m tests.e2e`."""
