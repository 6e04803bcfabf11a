"""The e-processes of decisions.md: pure recursions over small frozen states."""
