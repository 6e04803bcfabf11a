"""When to look next: quickly after each step of a rollout, slower by degrees later.

Seconds are counted from one look to the next, so that the time of the readings adds nothing. The
evidence may say itself when it is looked at again: its bound holds however often one looks
(decisions.md, A), so that looking closer while errors come in costs no false abort.
"""

from __future__ import annotations

STEPS = ((30.0, 0.5), (60.0, 1.0), (120.0, 2.0))
"""Until so many seconds after a step, so many seconds from look to look."""
SLOWEST = 5.0
WATCHING = ((300.0, 5.0),)
SLOWEST_WATCHING = 15.0
"""The same for a promoted release that is still watched."""
CLOSER = 0.2
"""Seconds from look to look while the evidence against the candidate grows."""
SUSPICION = 2.0
"""E from which on its growth is worth a closer look: an error or two more than there should be."""
READING_AT_MOST = 0.5
"""Share of the time that closer looks may spend reading: an exposition can be large."""


def rhythm(age: float, *, watching: bool = False) -> float:
    """Seconds between two looks, by seconds since the newest step."""
    steps, slowest = (WATCHING, SLOWEST_WATCHING) if watching else (STEPS, SLOWEST)
    return next((pause for until, pause in steps if age < until), slowest)


class Rhythm:
    """The rhythm of one rollout. All times are the event loop's."""

    def __init__(self, now: float) -> None:
        """A rollout that begins, or is taken up again, is looked at quickly."""
        self._step_at = now
        self._pods = False
        self._share = 0.0
        self._evidence = 0.0
        self._grows = False

    def step(self, now: float) -> None:
        """Something changed that is worth a close look."""
        self._step_at = now

    def see(self, pods: int, share: float, now: float) -> bool:
        """Take the candidate's pods in.

        Args:
            pods: how many there are, ready or not.
            share: its share of the ready pods, 0 to 1. A doubling is a traffic step
                (decisions.md, A), and so is the first ready one.
            now: the loop's time.

        Returns:
            Whether this is a step at which to look at once: users begin to reach the candidate.
        """
        if pods and not self._pods:
            self._pods = True
            self._step_at = now
        if share <= 0.0 or share < 2.0 * self._share:
            return False
        self._share = share
        self._step_at = now
        return True

    def weigh(self, evidence: float) -> None:
        """Take in the largest E of the checks that have not decided; 0 once one has."""
        self._grows = evidence >= SUSPICION and evidence > self._evidence
        self._evidence = evidence

    def next(self, began: float, now: float, *, watching: bool = False) -> float:
        """When to look again, after a look that began then and ends now."""
        pause = rhythm(began - self._step_at, watching=watching)
        if self._grows:
            pause = min(pause, max(CLOSER, (now - began) / READING_AT_MOST))
        return began + pause
