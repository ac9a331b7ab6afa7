"""The settings of the retire function."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from retirement.databrain.settings import DatabrainSettings
from retirement.delivery.settings import RetirementSettings
from retirement.environment import boolean, choice, count, days, text, variable


class Mode(StrEnum):
    """Whether requests are carried out; `plan` treats every request as a dry run."""

    PLAN = "plan"
    RETIRE = "retire"


class UndeterminedEmbeds(StrEnum):
    """Whether embeds whose datamart cannot be determined block a retirement, or are only reported."""

    BLOCK = "block"
    REPORT = "report"


@dataclass(frozen=True, kw_only=True)
class RetireSettings(RetirementSettings, DatabrainSettings):
    """All settings of the retire function."""

    mode: Mode = variable(choice(Mode))
    require_restorable: bool = variable(boolean)  # the default of requests
    rehearse_by_default: bool = variable(boolean)
    undetermined_embeds: UndeterminedEmbeds = variable(choice(UndeterminedEmbeds))
    max_retirements_per_day: int = variable(count)
    approval_expires_in: timedelta = variable(days)
    coordination_table_name: str = variable(text)
