"""Intervals of a ratio, in closed form."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""Two-sided 95% quantile of the normal distribution."""
Z95_ONE_SIDED = 1.6448536269514722
"""One-sided 95% quantile of the normal distribution."""
Z99_ONE_SIDED = 2.3263478740408408
"""One-sided 99% quantile of the normal distribution."""


def wilson(bad: float, total: float, z: float = Z95) -> tuple[float, float]:
    """Score interval of a ratio (E. B. Wilson, JASA 22, 1927). (0, 1) without requests.

    Args:
        bad: bad requests; may be a fraction where counts are divided by an allowance k.
        total: all requests.
        z: quantile of the normal distribution.
    """
    if total <= 0:
        return 0.0, 1.0
    ratio = bad / total
    denominator = 1.0 + z * z / total
    centre = ratio + z * z / (2.0 * total)
    spread = z * math.sqrt(ratio * (1.0 - ratio) / total + z * z / (4.0 * total * total))
    # At the ends the formula is exact only without rounding.
    low = max((centre - spread) / denominator, 0.0) if bad > 0 else 0.0
    high = min((centre + spread) / denominator, 1.0) if bad < total else 1.0
    return low, high


def upper(bad: float, total: float) -> float:
    """One-sided 95% upper bound of a ratio; 1 without requests."""
    return wilson(bad, total, Z95_ONE_SIDED)[1]


def lower(bad: float, total: float) -> float:
    """One-sided 95% lower bound of a ratio; 0 without requests."""
    return wilson(bad, total, Z95_ONE_SIDED)[0]
