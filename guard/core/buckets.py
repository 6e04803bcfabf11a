"""How the bound of a histogram's bucket is written, and how it is found whichever way it is."""

from __future__ import annotations


def bucket_pattern(bound: float) -> str:
    """A regular expression of every usual way to write a bucket's bound: `0.5`, `0.50`, `5e-1`.

    Client libraries write it as they like, and Prometheus 3 stores `1` as `1.0`.
    """
    whole, _, part = f"{bound:.15f}".rstrip("0").partition(".")
    plain = rf"{whole}\.{part}0*" if part else rf"{whole}(?:\.0*)?"
    mantissa, _, exponent = f"{bound:.14e}".partition("e")
    first, _, rest = mantissa.rstrip("0").partition(".")
    digits = rf"{first}\.{rest}0*" if rest else rf"{first}(?:\.0*)?"
    power = int(exponent)
    sign = "-" if power < 0 else r"\+?"
    return rf"{plain}|{digits}[eE]{sign}0*{abs(power)}"


def bucket_matcher(bound: float) -> str:
    """The matcher of a bucket's bound as PromQL writes it."""
    escaped = bucket_pattern(bound).replace("\\", "\\\\")
    return f'le=~"{escaped}"'
