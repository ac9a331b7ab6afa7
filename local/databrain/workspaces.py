"""What the routes of datasources, workspaces and their dashboards do; the service token's, in one form only."""

from local.databrain.api import Call, object_of, page_of_body, page_of_query
from local.databrain.listing import dashboard_item, page
from local.databrain.organisation import Organisation
from local.databrain.refusals import ApiError, invalid_request
from local.databrain.validation import JsonObject


def list_datasources(call: Call) -> JsonObject:
    """List Datasources: their names alone, in alphabetical order (undocumented)."""
    return {"data": [{"name": name} for name in page(sorted(call.organisation.datasources), page_of_query(call))]}


def list_workspaces(call: Call) -> JsonObject:
    """List Workspaces: their names alone."""
    _require_workspaces(call.organisation)
    names = [*call.organisation.workspaces]
    return {"data": [{"name": name} for name in page(names, page_of_query(call))], "error": None}


def list_workspace_dashboards(call: Call) -> JsonObject:
    """List the dashboards of one workspace."""
    _require_workspaces(call.organisation)
    name = object_of(call).get("workspaceName")
    if not isinstance(name, str):
        raise invalid_request()
    workspace = call.organisation.workspaces.get(name)
    if workspace is None:
        raise ApiError(400, "WORKSPACE_ID_ERROR", "Invalid workspace name")
    shown = page(workspace.dashboards, page_of_body(call))
    return {"data": [dashboard_item(dashboard) for dashboard in shown], "error": None}


def update_workspace(call: Call) -> JsonObject:
    """Update Workspace: connect it to something else."""
    _require_workspaces(call.organisation)
    return {"data": {"name": call.organisation.update_workspace(object_of(call))}, "error": None}


def _require_workspaces(organisation: Organisation) -> None:
    if not organisation.options.has_workspaces:
        raise ApiError(404, None, "Not Found")
