"""The settings of the retire function."""

from dataclasses import dataclass
from enum import StrEnum

from retirement.databrain.settings import DatabrainSettings
from retirement.delivery.settings import AnsweringSettings
from retirement.environment import boolean, choice, count, text, variable


class Mode(StrEnum):
    """`plan` treats every request as a dry run."""

    PLAN = "plan"
    RETIRE = "retire"


class UndeterminedEmbeds(StrEnum):
    """What an embed of which nothing says which datamart it uses does to a retirement."""

    BLOCK = "block"
    REPORT = "report"


@dataclass(frozen=True, kw_only=True)
class RetireSettings(AnsweringSettings, DatabrainSettings):
    """All of them."""

    mode: Mode = variable(choice(Mode))
    require_restorable: bool = variable(boolean)  # the default of requests
    undetermined_embeds: UndeterminedEmbeds = variable(choice(UndeterminedEmbeds))
    max_retirements_per_day: int = variable(count)
    coordination_table_name: str = variable(text)
