"""Blame: whose fault is it? The table of decisions.md, Blame, as a small state machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from guard.core.evidence.statistics import upper

CONTROL_WINDOW = 30.0
"""Seconds over which both sides' requests say whether stable has control."""
CONTROL_LOST = 0.2
CONTROL_GAINED = 0.25
SUSPICIOUS = 1.5
"""M_A from which a side is suspicious."""
TOLD_APART = 20.0
"""M_B that tells the sides apart; M_A of stable that calls it bad too."""
ATTRIBUTING_AT_MOST = 30.0
"""Seconds for which an over-bound candidate under control waits for B."""
BROKE_BOTH_WITHIN = 60.0
"""A release may have broken both when trouble began so soon after its first request."""


class Standing(StrEnum):
    """How the trouble of the candidate is attributed at this moment."""

    CLEAR = "clear"
    ATTRIBUTING = "attributing"
    OPEN = "open"  # attributed to nobody after 30 s: hold
    BLAMED = "blamed"
    SHARED = "shared"
    UNATTRIBUTED = "unattributed"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Blame:
    """The table's state.

    Attributes:
        control: stable carries enough requests to compare with.
        ever: it had control at some time in this rollout.
        over_since: since when M_A alone is over its bound under control.
        broke_both: a shared trouble began within 60 s of the candidate's first request.
        depends: services that this one depends on, where their trouble is what is shared.
    """

    standing: Standing = Standing.CLEAR
    control: bool = False
    ever: bool = False
    over_since: float | None = None
    broke_both: bool = False
    depends: tuple[str, ...] = ()

    @property
    def unattributed(self) -> bool:
        """Control went before the sides were told apart: M_A alone does not convict."""
        left = self.standing is Standing.REPAIR and not self.control
        return left or self.standing is Standing.UNATTRIBUTED


@dataclass(frozen=True, slots=True)
class View:
    """What the table looks at.

    Attributes:
        m_better: M_B with the sides exchanged.
        bound: what M_A or E must reach: the number of counted checks / α; `better_at`: 1/α.
        stable_was_over: stable was over p0′ in the 5 min before the rollout.
        stable_share: stable's share of ready pods, where nobody sent requests.
        stable_gone: no stable pod is left: what it served of late compares with nothing now.
        stable_awaited: stable pods are there, and their first counts have not come yet.
        stable_clean: stable's 95% upper bound of late is under p0′.
        good_again: D passes over the candidate's trailing window.
        first_at: the candidate's first request.
        depends_over: services that this one depends on and that are over their own bound.
    """

    at: float
    m_a: float
    m_a_stable: float
    m_b: float
    m_better: float
    bound: float
    better_at: float
    stable_was_over: bool
    candidate_recent: int
    stable_recent: int
    stable_share: float
    stable_gone: bool
    stable_awaited: bool
    stable_clean: bool
    good_again: bool
    first_at: float | None
    depends_over: tuple[str, ...] = ()

    @property
    def stable_suspicious(self) -> bool:
        """Stable is, or was when the rollout began, possibly over its bound as well."""
        return self.m_a_stable >= SUSPICIOUS or self.stable_was_over

    @property
    def repairs(self) -> bool:
        """The candidate is better than a stable that was bad before it came."""
        return self.stable_was_over and self.m_better >= self.better_at


def update(state: Blame, view: View) -> tuple[Blame, bool]:
    """Look at one tick.

    Returns:
        The new state, and whether M_A and M_B must begin anew.
    """
    was, state = state, see(state, view)
    control = state.control
    lost = was.control and not control
    if lost and view.stable_suspicious and view.m_b < TOLD_APART:
        better = view.repairs or state.standing is Standing.REPAIR
        standing = Standing.REPAIR if better else Standing.UNATTRIBUTED
        state = replace(state, standing=standing, over_since=None)
    if state.unattributed:
        return _until_good(state, view)
    if not control:
        return replace(state, standing=Standing.CLEAR, over_since=None), False
    if state.standing is Standing.SHARED:
        return _until_good(state, view)
    return _attribute(state, view), False


def see(state: Blame, view: View) -> Blame:
    """Look at one tick only for whether stable has control."""
    control = _control(state, view)
    return replace(state, control=control, ever=state.ever or control)


def _control(state: Blame, view: View) -> bool:
    """Whether stable carries enough: it is lost only where chance does not explain the share.

    Of one pod of five half of all half minutes see less than a fifth; an incident that begins in
    such a one would be the release's (decisions.md, Figures to reach: 3% of 30% incidents).
    """
    if view.stable_gone:
        return False
    requests = view.candidate_recent + view.stable_recent
    if view.stable_awaited or not requests:
        return view.stable_share >= (CONTROL_LOST if state.control else CONTROL_GAINED)
    if state.control:
        return upper(view.stable_recent, requests) >= CONTROL_LOST
    return view.stable_recent / requests >= CONTROL_GAINED


def _until_good(state: Blame, view: View) -> tuple[Blame, bool]:
    if not view.good_again:
        return state, False
    clear = replace(state, standing=Standing.CLEAR, over_since=None, broke_both=False, depends=())
    return clear, True


def _attribute(state: Blame, view: View) -> Blame:
    if view.m_a < view.bound or view.m_b >= view.bound:
        return replace(state, standing=Standing.CLEAR, over_since=None)
    since = view.at if state.over_since is None else state.over_since
    state = replace(state, over_since=since)
    if view.at - since < ATTRIBUTING_AT_MOST:
        return replace(state, standing=Standing.ATTRIBUTING)
    if view.repairs:
        return replace(state, standing=Standing.REPAIR)
    if view.m_a_stable >= TOLD_APART:
        return replace(state, standing=Standing.SHARED, broke_both=_with_release(since, view))
    if view.depends_over:
        return replace(state, standing=Standing.SHARED, depends=view.depends_over)
    return replace(state, standing=Standing.BLAMED if view.stable_clean else Standing.OPEN)


def _with_release(since: float, view: View) -> bool:
    """Both turned bad soon after the candidate's first request, and stable was clean before."""
    if view.first_at is None or view.stable_was_over:
        return False
    return since - view.first_at <= BROKE_BOTH_WITHIN
