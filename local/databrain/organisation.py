"""A Databrain organisation: its state, and the rules by which the API changes it. No HTTP here."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from local.databrain.creation import (
    UNKNOWN_DATATYPE,
    checked_datamart,
    checked_semantic_layer,
    checked_workspace,
    configuration,
    semantic_layer,
)
from local.databrain.refusals import ApiError, invalid_request
from local.databrain.validation import JsonObject


class TokenKind(StrEnum):
    """What a request's token is to this organisation."""

    SERVICE = "service"
    DATA_APP = "data-app"
    UNKNOWN = "unknown"
    NONE = "none"


class EmbedsTell(StrEnum):
    """Where List Embeds says which datamart an embed uses. No documented version says it anywhere."""

    NONE = "none"
    ACCESS_SETTINGS = "access_settings"
    OLD_SPELLING = "old_spelling"
    METADATA = "metadata"


@dataclass(frozen=True)
class ServerOptions:
    """How this server differs from the newest documented one; see `schemas/seed.json`."""

    lists_created_at: bool
    honours_expand_details: bool
    has_data_apps: bool
    embeds_tell_datamart: EmbedsTell
    has_workspaces: bool = True


@dataclass(frozen=True)
class Datamart:
    """One datamart; `configuration` and `semantic_layer` have the shapes of the API's own answers."""

    name: str
    created_at: str
    updated_at: str
    configuration: JsonObject
    semantic_layer: JsonObject | None


@dataclass(frozen=True)
class ApiToken:
    """One key of a data app. An expired key is still listed, but no route takes it."""

    key: str
    name: str
    description: str
    created_at: str
    expired: bool


@dataclass(frozen=True)
class Embed:
    """One embed, with the datamart that it really uses. A hidden one is missing from List Embeds."""

    embed_id: str
    embed_type: str
    name: str
    datamart: str | None
    metadata: JsonObject
    hidden: bool
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class DataApp:
    """One data app with its keys and embeds."""

    name: str
    type: str
    created_at: str
    updated_at: str
    tokens: tuple[ApiToken, ...]
    embeds: tuple[Embed, ...]


class ConnectionType(StrEnum):
    """What the metrics of a workspace read from."""

    DATASOURCE = "DATASOURCE"
    DATAMART = "DATAMART"
    MULTI_DATASOURCE = "MULTI_DATASOURCE"
    MULTI_DATAMART = "MULTI_DATAMART"


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; `data` is what an export holds of it: `layout`, `filters`, `metrics` and whatever else."""

    dashboard_id: str
    name: str
    data: JsonObject


@dataclass(frozen=True)
class Workspace:
    """One workspace with its dashboards, and with the one datasource or datamart that it is connected to, if any."""

    name: str
    connection_type: ConnectionType
    datasource: str | None
    datamart: str | None
    dashboards: tuple[Dashboard, ...]


def timestamp() -> str:
    """Return the time in the API's form: RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Organisation:
    """The whole state. Datamarts, data apps and workspaces are in the order in which they are listed."""

    options: ServerOptions
    service_token: str
    datasources: frozenset[str]
    datamarts: dict[str, Datamart] = field(default_factory=dict)
    data_apps: dict[str, DataApp] = field(default_factory=dict)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    _source_tables: dict[str, dict[tuple[str | None, str], dict[str, str]]] = field(default_factory=dict)

    def tokens(self) -> list[str]:
        """Return the values of all tokens."""
        return [self.service_token, *(token.key for app in self.data_apps.values() for token in app.tokens)]

    def token_kind(self, token: str | None) -> TokenKind:
        """Tell what `token` is; None stands for a request without one."""
        if token is None:
            return TokenKind.NONE
        if token == self.service_token:
            return TokenKind.SERVICE
        return TokenKind.UNKNOWN if self.data_app_of(token) is None else TokenKind.DATA_APP

    def data_app_of(self, key: str | None) -> DataApp | None:
        """Return the data app that `key` gives access to."""
        for app in self.data_apps.values():
            if any(token.key == key and not token.expired for token in app.tokens):
                return app
        return None

    def put_datamart(self, datamart: Datamart) -> None:
        """Add a datamart at the end of the list, instead of any other of its name.

        Its datasource has the tables and columns it shows from then on, also when it is gone again.
        """
        self.datamarts.pop(datamart.name, None)
        self.datamarts[datamart.name] = datamart
        tables = self._source_tables.setdefault(datamart.configuration["companyIntegration"]["name"], {})
        for table in datamart.configuration["datamartTables"]:
            columns = tables.setdefault((table["schemaName"], table["tableName"]), {})
            columns |= {column["columnName"]: column["datatype"] for column in table["datamartTableColumns"]}
            if table["clientColumn"] is not None:
                columns.setdefault(table["clientColumn"], UNKNOWN_DATATYPE)

    def create_datamart(self, body: JsonObject) -> str:
        """Carry out Create Datamart and return the name; raises `ApiError`."""
        request = checked_datamart(body)
        name: str = request["name"]
        if name in self.datamarts:
            raise invalid_request("Datamart name already exists")  # undocumented
        if request["datasourceName"] not in self.datasources:
            raise ApiError(400, "DATASOURCE_NAME_ERROR", "Invalid datasource name")
        source = self._source_tables.get(request["datasourceName"], {})
        created_at = timestamp()
        self.put_datamart(Datamart(name, created_at, created_at, configuration(request, source), None))
        return name

    def delete_datamart(self, name: str) -> None:
        """Remove a datamart, its semantic layer and the embeds that use it; raises KeyError where there is none.

        A workspace that was connected to it stays, with its dashboards, and is connected to nothing (undocumented). A
        later datamart of that name does not bring the connection back.
        """
        del self.datamarts[name]
        for app in self.data_apps.values():
            left = tuple(embed for embed in app.embeds if embed.datamart != name)
            self.data_apps[app.name] = replace(app, embeds=left)
        for workspace in self.workspaces.values():
            if workspace.datamart == name:
                self.workspaces[workspace.name] = replace(workspace, datamart=None)

    def create_semantic_layer(self, body: JsonObject) -> str:
        """Carry out Create Semantic Layer and return the datamart's name; raises `ApiError`."""
        request = checked_semantic_layer(body)
        name: str = request["datamartName"]
        datamart = self.datamarts.get(name)
        if datamart is None:
            raise invalid_request("Datamart not found")  # undocumented
        if datamart.semantic_layer is not None:
            raise invalid_request("Semantic layer already exists")  # undocumented
        layer = semantic_layer(request, datamart.configuration, timestamp())
        self.datamarts[name] = replace(datamart, semantic_layer=layer)
        return name

    def update_workspace(self, body: JsonObject) -> str:
        """Carry out Update Workspace and return the name; raises `ApiError`."""
        request = checked_workspace(body)
        workspace = self.workspaces.get(request["name"])
        if workspace is None:
            raise ApiError(400, "WORKSPACE_DOES_NOT_EXIST", "Workspace does not exist")
        connection_type = ConnectionType(request["connectionType"])
        datasource = request["datasourceName"] if connection_type is ConnectionType.DATASOURCE else None
        datamart = request["datamartName"] if connection_type is ConnectionType.DATAMART else None
        if connection_type is ConnectionType.DATASOURCE and datasource not in self.datasources:
            raise ApiError(400, "INVALID_DATASOURCE_NAME", "Datasource not found")
        if connection_type is ConnectionType.DATAMART and datamart not in self.datamarts:
            raise ApiError(400, "INVALID_DATAMART_NAME", "Datamart not found")
        self.workspaces[workspace.name] = replace(
            workspace, connection_type=connection_type, datasource=datasource, datamart=datamart
        )
        return workspace.name
