"""The settings of the restore function."""

from dataclasses import dataclass

from retirement.databrain.settings import ConnectionSettings
from retirement.delivery.settings import AnsweringSettings
from retirement.environment import text, variable


@dataclass(frozen=True, kw_only=True)
class RestoreSettings(AnsweringSettings, ConnectionSettings):
    """All settings of the restore function."""

    restores_queue_url: str = variable(text)
    coordination_table_name: str = variable(text)
