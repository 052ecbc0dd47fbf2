"""When the silence of a topic is a fault: the part of the configuration that `core/freshness` goes by."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import Field, model_validator

from alpmon.config.section import Section
from alpmon.config.values import Fault, PositiveDuration, refusal


class FreshnessMode(StrEnum):
    """Where the threshold of a topic's silence comes from."""

    ADAPTIVE = "adaptive"
    FIXED = "fixed"


_GLOB = "Glob over topics as written above, such as `market_depth.*`; of all overrides the first that matches wins."


class FreshnessRule(Section):
    """When a topic's silence is too long."""

    mode: FreshnessMode = Field(
        default=FreshnessMode.ADAPTIVE,
        description="`adaptive` learns what is usual for each topic; `fixed` takes `after`.",
    )
    after: PositiveDuration | None = Field(default=None, description="`fixed`: the threshold.")
    floor: PositiveDuration = Field(default=5.0, description="`adaptive`: the threshold is never below this.")
    ceiling: PositiveDuration = Field(default=600.0, description="`adaptive`: nor above this.")
    silent_after: PositiveDuration = Field(
        default=120.0, description="Acknowledged so long ago and nothing came in this session: `silent`."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> FreshnessRule:
        faults = list(self.faults())
        if faults:
            raise refusal(*faults)
        return self

    def faults(self, at: tuple[str | int, ...] = ()) -> Iterator[Fault]:
        """What contradicts itself, found `at` a place."""
        if self.mode is FreshnessMode.FIXED and self.after is None:
            yield Fault("mode fixed needs after", "add after: 2m", at)
        if self.floor > self.ceiling:
            yield Fault("floor must not be longer than ceiling", at=at)


class Override(Section):
    """Another rule for some topics; what it leaves out comes from `default`."""

    topics: str = Field(min_length=1, description=_GLOB, examples=["market_depth.*"])
    mode: FreshnessMode | None = Field(default=None, description="As in `default`.")
    after: PositiveDuration | None = Field(default=None, description="As in `default`; only with mode `fixed`.")
    floor: PositiveDuration | None = Field(default=None, description="As in `default`.")
    ceiling: PositiveDuration | None = Field(default=None, description="As in `default`.")
    silent_after: PositiveDuration | None = Field(default=None, description="As in `default`.")

    def over(self, default: FreshnessRule) -> FreshnessRule:
        """The default with what this override says."""
        return default.model_copy(update=self.model_dump(exclude={"topics"}, exclude_none=True))

    def faults(self, default: FreshnessRule, at: tuple[str | int, ...]) -> Iterator[Fault]:
        """What makes no sense on top of this default."""
        rule = self.over(default)
        yield from rule.faults(at)
        if self.after is not None and rule.mode is not FreshnessMode.FIXED:
            yield Fault("has no effect in mode adaptive", "add mode: fixed", (*at, "after"))


class Freshness(Section):
    """When the silence of a topic is a fault; see Topic states in metrics.md."""

    default: FreshnessRule = Field(default=FreshnessRule(), description="The rule of every topic without an override.")
    overrides: tuple[Override, ...] = Field(
        default=(),
        description="Other rules for some topics; first match wins.",
        examples=[[{"topics": "market_depth.*", "mode": "fixed", "after": "2m"}]],
    )

    @model_validator(mode="after")
    def _overrides_make_sense(self) -> Freshness:
        faults: list[Fault] = []
        for index, override in enumerate(self.overrides):
            faults += override.faults(self.default, ("overrides", index))
        if faults:
            raise refusal(*faults)
        return self

    def rule_for(self, topic: str) -> FreshnessRule:
        """The rule in force for a topic."""
        for override in self.overrides:
            if fnmatchcase(topic, override.topics):
                return override.over(self.default)
        return self.default
