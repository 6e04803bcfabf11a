"""Both themes keep WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for signs and figures."""

from __future__ import annotations

import re

import pytest

from guard.web.assets import ASSETS

CSS = ASSETS["guard.css"].body.decode()
_HEX = re.compile(r"--([\w-]+):\s*#([0-9a-f]{6})\b")
_LIGHT, _DARK = re.findall(r":root\s*\{(.*?)\}", CSS, re.DOTALL)
THEMES = {"light": dict(_HEX.findall(_LIGHT)), "dark": dict(_HEX.findall(_DARK))}
TONES = ("good", "wait", "held", "bad", "blind", "quiet")
TEXT = (
    *(("text", ground) for ground in ("ground", "surface", "sunk")),
    *(("soft", ground) for ground in ("ground", "surface", "sunk")),
    *(("link", ground) for ground in ("ground", "surface")),
    *((tone, f"{tone}-soft") for tone in TONES),
    *((tone, "surface") for tone in TONES),
    *(("surface", tone) for tone in TONES),  # the phase's badge
    *(("text", f"{tone}-soft") for tone in TONES),  # the phase's words
    *(("soft", f"{tone}-soft") for tone in ("held",)),
)
FIGURES = (("wait", "surface"), ("quiet", "line"), ("bad", "line"), ("good", "line"))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, definition)."""
    channels = [int(colour[i : i + 2], 16) / 255.0 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_is_21_to_1() -> None:
    assert contrast("000000", "ffffff") == pytest.approx(21.0)


def test_both_themes_name_the_same_colours() -> None:
    assert set(THEMES["light"]) == set(THEMES["dark"])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("front", "back"), TEXT)
def test_text_stands_out(theme: str, front: str, back: str) -> None:
    colours = THEMES[theme]
    assert contrast(colours[front], colours[back]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("front", "back"), FIGURES)
def test_figures_stand_out(theme: str, front: str, back: str) -> None:
    colours = THEMES[theme]
    assert contrast(colours[front], colours[back]) >= 3.0


def test_no_colour_is_written_outside_the_themes() -> None:
    rest = CSS.replace(_LIGHT, "").replace(_DARK, "")
    assert not re.search(r"#[0-9a-f]{3,8}\b", rest)
