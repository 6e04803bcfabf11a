"""How well the guard decides, by simulation, beside the rules that others follow."""
