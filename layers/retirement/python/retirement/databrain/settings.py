"""The settings of the functions that call Databrain."""

from dataclasses import dataclass

from retirement.databrain.ports import DatabrainApi
from retirement.environment import (
    S3Location,
    arn,
    choice,
    defined_s3_location,
    globs,
    optional_s3_location,
    some_globs,
    url,
    variable,
)


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """The server and its token."""

    databrain_base_url: str = variable(url)
    databrain_api: DatabrainApi = variable(choice(DatabrainApi))
    databrain_ca_uri: S3Location | None = variable(optional_s3_location)
    service_token_secret_arn: str = variable(arn)


@dataclass(frozen=True, kw_only=True)
class DatabrainSettings(ConnectionSettings):
    """The server, its token, and the datamarts that may be retired."""

    embed_map_uri: S3Location | None = variable(optional_s3_location)
    retirable_datamarts: tuple[str, ...] = variable(some_globs)
    protected_datamarts: tuple[str, ...] = variable(globs)
    datamart_lists_uri: S3Location | None = variable(defined_s3_location)
