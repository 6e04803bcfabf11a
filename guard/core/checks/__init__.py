"""The checks: each is three pure functions over one small frozen state (see `core/ticks.py`)."""
