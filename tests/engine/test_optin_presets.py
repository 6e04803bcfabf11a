"""Which default policy a workload gets that opted in by label, and what its people are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from guard.config.defaults import default_policies
from guard.config.presets import preset
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason
from guard.core.workloads import WorkloadId
from guard.engine.optin import choose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guard.core.policy import Scrape, Sli
    from guard.core.samples import CounterSample
    from guard.core.workloads import Pod
    from guard.engine.world import World

POLICIES = default_policies(WorkloadId("kubernetes", "shop", "cart"))


class Exposed:
    """A source whose pods expose these counters; what they say of all others."""

    name = "scrape"

    def __init__(self, *names: str, otherwise: CounterSample | None = None) -> None:
        self.exposed = {preset(name).indicator for name in names}
        self.otherwise = otherwise or NoData(NoDataReason.NO_SERIES, "it is not exposed")

    async def read(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape
    ) -> Mapping[str, CounterSample]:
        found = Reading(9.0, None, 1.0, self.name) if sli in self.exposed else self.otherwise
        return {"uid/app": found}


async def chosen(*counters: Exposed) -> tuple[int, str]:
    world = cast("World", SimpleNamespace(counters=counters))
    policy, words = await choose(world, POLICIES, ())
    return POLICIES.index(policy), words


async def test_the_first_preset_that_the_pods_expose_is_taken_and_named() -> None:
    exposed = Exposed("grpc_server_handled_total", "http_server_requests_seconds")
    place, words = await chosen(exposed)
    assert POLICIES[place].checks[0].name == "availability"
    bad = preset("http_server_requests_seconds").indicator.bad.text
    assert words == f"guarded by error ratio ({bad}), health and pods"


async def test_what_an_application_counts_goes_before_what_its_sidecar_counts() -> None:
    place, _ = await chosen(Exposed("istio_requests_total", "http_requests_total.status"))
    assert place == 1


async def test_without_any_usual_counter_pods_and_health_remain_and_the_words_say_so() -> None:
    place, words = await chosen(Exposed())
    assert place == len(POLICIES) - 1
    assert words == (
        "guarded by pods and health only: no request counter (none of the usual ones is exposed)"
    )


async def test_a_pod_that_does_not_answer_is_told_in_its_own_words() -> None:
    refused = Unavailable(UnavailableReason.REFUSED, "http://10.0.0.7:8080/metrics")
    _, words = await chosen(Exposed(otherwise=refused))
    assert words.endswith("(refused http://10.0.0.7:8080/metrics)")


async def test_a_counter_that_lacks_its_label_says_more_than_those_that_are_not_there() -> None:
    unlabelled = NoData(
        NoDataReason.NO_LABEL, "no series of http_requests_total has the label code"
    )
    unjoined = NoData(NoDataReason.UNJOINED, "not scraped (yet)")
    _, words = await chosen(Exposed(otherwise=unjoined), Exposed(), Exposed(otherwise=unlabelled))
    assert words.endswith("(no_label no series of http_requests_total has the label code)")
    _, words = await chosen(Exposed(otherwise=unjoined), Exposed())
    assert words.endswith("(none of the usual ones is exposed)")


async def test_without_a_source_there_was_nothing_to_scrape() -> None:
    _, words = await chosen()
    assert words.endswith("(nothing to scrape)")
