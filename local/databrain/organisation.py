"""A Databrain organisation: its state, and the rules by which the API changes it. No HTTP here."""

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from local.databrain.creation import (
    UNKNOWN_DATATYPE,
    EmbedRequest,
    checked_datamart,
    checked_embed,
    checked_guest_token,
    checked_semantic_layer,
    checked_workspace,
    configuration,
    default_access_settings,
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
    has_export_embed: bool = True
    has_fetch_metrics: bool = True
    takes_allowed_embeds: bool = True
    keeps_embeds: bool = False
    embed_ids_of_dashboards: bool = False


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
    """One embed, with the datamart that it really uses. A hidden one is missing from List Embeds.

    `target` is the ID of the dashboard or metric that it shows; where it is empty, one that is in no workspace.
    `workspace` is the one that it was made in, if that is known. `access_settings` are all of them but the datamart.
    """

    embed_id: str
    embed_type: str
    name: str
    datamart: str | None
    metadata: JsonObject
    hidden: bool
    created_at: str
    updated_at: str
    target: str = ""
    workspace: str | None = None
    access_settings: JsonObject = field(default_factory=default_access_settings)

    @property
    def target_id(self) -> str:
        """The ID of what it shows."""
        return self.target or f"{self.embed_type}-of-{self.embed_id}"


@dataclass(frozen=True)
class DataApp:
    """One data app with its keys and embeds."""

    name: str
    type: str
    created_at: str
    updated_at: str
    tokens: tuple[ApiToken, ...]
    embeds: tuple[Embed, ...]


@dataclass(frozen=True)
class Deletion:
    """What went with one datamart: itself, and the data apps with those of their embeds that went."""

    datamart: Datamart
    data_apps: tuple[DataApp, ...]


@dataclass(frozen=True)
class GuestToken:
    """What one guest token lets an end user see; all embeds of its data app, and for good, where None."""

    data_app: str
    client_id: str
    allowed_embeds: tuple[str, ...] | None
    expires_at: datetime | None


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

    def dashboard(self, dashboard_id: str) -> Dashboard | None:
        """Return the dashboard of that ID, if it has one."""
        return next((each for each in self.dashboards if each.dashboard_id == dashboard_id), None)

    def metric(self, metric_id: str) -> JsonObject | None:
        """Return the metric of that ID, if one of its dashboards has it."""
        metrics = (metric for dashboard in self.dashboards for metric in dashboard.data["metrics"])
        return next((metric for metric in metrics if metric["metricId"] == metric_id), None)

    def has(self, embed_type: str, target: str) -> bool:
        """Tell whether it has a dashboard, or a metric, of that ID."""
        return (self.dashboard(target) if embed_type == "dashboard" else self.metric(target)) is not None


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
    guest_tokens: dict[str, GuestToken] = field(default_factory=dict)
    deletions: list[Deletion] = field(default_factory=list)
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

    def dashboard_of(self, embed: Embed) -> Dashboard | None:
        """Return the dashboard that an embed shows, if a workspace has it."""
        found = (workspace.dashboard(embed.target_id) for workspace in self._workspaces_of(embed))
        return next(filter(None, found), None) if embed.embed_type == "dashboard" else None

    def metrics_of(self, embed: Embed) -> list[JsonObject]:
        """Return the metrics that an embed shows, as an export has them."""
        if embed.embed_type == "metric":
            found = (workspace.metric(embed.target_id) for workspace in self._workspaces_of(embed))
            return [metric for metric in found if metric is not None][:1]
        dashboard = self.dashboard_of(embed)
        return [] if dashboard is None else dashboard.data["metrics"]

    def title_of(self, embed: Embed) -> str:
        """Return the name of the dashboard or metric that an embed shows; the embed's own where that is not known."""
        if embed.embed_type == "metric":
            return next((metric["name"] for metric in self.metrics_of(embed)), embed.name)
        dashboard = self.dashboard_of(embed)
        return embed.name if dashboard is None else dashboard.name

    def _workspaces_of(self, embed: Embed) -> Iterator[Workspace]:
        return (each for each in self.workspaces.values() if embed.workspace in {None, each.name})

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

        With the option `keeps_embeds` the embeds stay, and use what is not there. A guest token forgets an embed that
        goes: a later one of the same ID is another one.

        A workspace that was connected to it stays, with its dashboards, and is connected to nothing (undocumented). A
        later datamart of that name does not bring the connection back.
        """
        datamart = self.datamarts.pop(name)
        gone = () if self.options.keeps_embeds else self._remove_embeds_of(name)
        self.deletions.append(Deletion(datamart, gone))
        for workspace in self.workspaces.values():
            if workspace.datamart == name:
                self.workspaces[workspace.name] = replace(workspace, datamart=None)

    def _remove_embeds_of(self, datamart: str) -> tuple[DataApp, ...]:
        """Remove the embeds that use a datamart, and return them in their data apps."""
        gone = []
        for app in self.data_apps.values():
            going = tuple(embed for embed in app.embeds if embed.datamart == datamart)
            left = tuple(embed for embed in app.embeds if embed.datamart != datamart)
            self.data_apps[app.name] = replace(app, embeds=left)
            self._forget({embed.embed_id for embed in going})
            if going:
                gone.append(replace(app, embeds=going))
        return tuple(gone)

    def _forget(self, embed_ids: set[str]) -> None:
        for value, token in self.guest_tokens.items():
            if token.allowed_embeds is not None:
                allowed = tuple(embed_id for embed_id in token.allowed_embeds if embed_id not in embed_ids)
                self.guest_tokens[value] = replace(token, allowed_embeds=allowed)

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

    def create_embed(self, app: DataApp, body: JsonObject, *, legacy: bool) -> str:
        """Carry out Create Embed in a data app and return the new ID; raises `ApiError`."""
        request = checked_embed(body, legacy=legacy)
        not_found = 400 if legacy else 404
        workspace = self.workspaces.get(request.workspace)
        if workspace is None:
            raise ApiError(not_found, "INVALID_WORKSPACE_NAME", "Workspace not found")
        if not workspace.has(request.embed_type, request.target):
            what = request.embed_type
            raise ApiError(not_found, f"INVALID_{what.upper()}_ID", f"{what.capitalize()} not found")
        self._check_datamart_of(request, workspace)
        embed_id, created_at = self._new_embed_id(request.target), timestamp()
        embed = Embed(
            embed_id=embed_id,
            embed_type=request.embed_type,
            name=request.name or embed_id,
            datamart=request.datamart,
            metadata={},
            hidden=False,
            created_at=created_at,
            updated_at=created_at,
            target=request.target,
            workspace=workspace.name,
            access_settings=request.access_settings,
        )
        self.data_apps[app.name] = replace(app, embeds=(*app.embeds, embed))
        return embed_id

    def _check_datamart_of(self, request: EmbedRequest, workspace: Workspace) -> None:
        if request.datamart is None:
            return
        datamart = self.datamarts.get(request.datamart)
        if datamart is None:
            raise ApiError(400, "INVALID_DATAMART", "Invalid datamart")
        level = _tenancy_level(datamart)
        if workspace.datamart is not None and _tenancy_level(self.datamarts[workspace.datamart]) != level:
            raise ApiError(400, "INVALID_DATAMART", "Invalid datamart tenancy level")
        if level == "TABLE":
            named = {setting["name"] for setting in request.access_settings["tableTenancySettings"]}
            if not named or not named <= {table["tableName"] for table in datamart.configuration["datamartTables"]}:
                raise ApiError(400, "DATAMART_TABLE_NOT_FOUND", "Datamart table not found")

    def _new_embed_id(self, target: str) -> str:
        if not self.options.embed_ids_of_dashboards:
            return f"embed_{secrets.token_hex(6)}"
        taken = {embed.embed_id for app in self.data_apps.values() for embed in app.embeds}
        return f"{target}__{secrets.token_hex(4)}" if target in taken else target

    def create_guest_token(self, app: DataApp, body: JsonObject) -> str:
        """Carry out Create Guest Token for a data app and return the token; raises `ApiError`.

        That an embed which it allows exists is not looked at (undocumented).
        """
        request = checked_guest_token(body)
        params: JsonObject = request["params"]
        if request["dataAppName"] != app.name:
            raise invalid_request("Invalid data app name")  # undocumented
        if "allowedEmbeds" in params and not self.options.takes_allowed_embeds:
            raise invalid_request('"params.allowedEmbeds" is not allowed')
        dashboards = {embed.target_id for embed in app.embeds if embed.embed_type == "dashboard"}
        for dashboard_id in (each["dashboardId"] for each in params.get("dashboardAppFilters", ())):
            if dashboard_id not in dashboards:
                message = f"Invalid dashboard Id: {dashboard_id} in dashboard appFilter"
                raise ApiError(400, "APP_FILTER_PARAM_ERROR", message)
        if "datasourceName" in request and request["datasourceName"] not in self.datasources:
            raise ApiError(400, "DATASOURCE_NAME_ERROR", "Invalid datasource name")  # undocumented
        allowed, expiry = params.get("allowedEmbeds"), request.get("expiryTime")
        token = str(uuid.uuid4())
        self.guest_tokens[token] = GuestToken(
            data_app=app.name,
            client_id=request["clientId"],
            allowed_embeds=None if allowed is None else tuple(allowed),
            expires_at=None if expiry is None else datetime.now(UTC) + timedelta(milliseconds=expiry),
        )
        return token

    def why_not_shown(self, token: str, embed_id: str, now: datetime) -> str | None:
        """Tell why the web component would not show an embed to the holder of a guest token; None where it would."""
        guest = self.guest_tokens.get(token)
        if guest is None:
            return "no such guest token"
        if guest.expires_at is not None and guest.expires_at <= now:
            return "the guest token has expired"
        if guest.allowed_embeds is not None and embed_id not in guest.allowed_embeds:
            return "the guest token does not allow this embed"
        embed = next((each for each in self.data_apps[guest.data_app].embeds if each.embed_id == embed_id), None)
        if embed is None:
            return "the data app has no such embed"
        if embed.datamart is not None and embed.datamart not in self.datamarts:
            return "the embed's datamart does not exist"
        return None

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


def _tenancy_level(datamart: Datamart) -> str | None:
    tenancy: JsonObject = datamart.configuration["datamartOrganization"] or {}
    return tenancy.get("tenancyLevel")
