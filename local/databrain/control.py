"""The control interface under `/_control`: how a test or a demo looks behind the API and stirs.

    GET, DELETE        /_control/requests          the requests to the API so far, in order; forget them
    GET                /_control/datamarts         the datamarts, as the expanded list shows them
    PUT, DELETE        /_control/datamarts/{name}  somebody else (re-)creates one, or is faster to delete it
    GET                /_control/embeds            all embeds, as a seed writes them, with `dataAppName`
    GET                /_control/deletions         {"datamart", "embeds"}: what each deletion so far took away, in order
    GET                /_control/guest-tokens      the guest tokens made so far, in order, without their values
    GET                /_control/shown             {"whyNot"} of `?token=` and `embedId=`: null where the web component
                                                   would show that embed to the holder of that guest token
    PUT                /_control/seed              start over with another organisation
    GET, PUT, DELETE   /_control/faults            the fault rules in force; put others in their place; none

A PUT of a datamart takes an entry of a seed's `datamarts`, but for the name. Without `createdAt` it is as new as now.
"""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from local.databrain.listing import datamart_item, deletion_item, embed_in_full, guest_token_item
from local.databrain.reception import CONTROL
from local.databrain.seed import datamart_of, organisation_of
from local.databrain.state import Databrain
from local.databrain.validation import InvalidInputError

DONE = 204


async def get_requests(request: Request) -> Response:
    """Return the requests to the API so far."""
    return JSONResponse(_databrain(request).requests)


async def forget_requests(request: Request) -> Response:
    """Empty the record of requests."""
    _databrain(request).requests.clear()
    return Response(status_code=DONE)


async def get_datamarts(request: Request) -> Response:
    """Return the datamarts as the expanded list shows them."""
    organisation = _databrain(request).organisation
    dated = organisation.options.lists_created_at
    return JSONResponse(
        [datamart_item(datamart, expanded=True, dated=dated) for datamart in organisation.datamarts.values()]
    )


async def put_datamart(request: Request) -> Response:
    """Create a datamart, or replace the one of that name; it goes to the end of the list."""
    organisation = _databrain(request).organisation
    name, given = request.path_params["name"], request.state.body
    if isinstance(given, dict) and given.setdefault("name", name) != name:
        raise InvalidInputError(f"datamart.name is {given['name']!r}, but the path says {name!r}")
    organisation.put_datamart(datamart_of(given, organisation))
    return Response(status_code=DONE)


async def delete_datamart(request: Request) -> Response:
    """Delete a datamart like the API would."""
    name = request.path_params["name"]
    try:
        _databrain(request).organisation.delete_datamart(name)
    except KeyError:
        return JSONResponse({"error": {"message": f"no datamart is called {name!r}"}}, 404)
    return Response(status_code=DONE)


async def get_embeds(request: Request) -> Response:
    """Return all that there is of each embed, also what no route of the API tells."""
    apps = _databrain(request).organisation.data_apps.values()
    return JSONResponse([embed_in_full(embed, app) for app in apps for embed in app.embeds])


async def get_deletions(request: Request) -> Response:
    """Return what the deletions so far took away, whoever carried them out."""
    return JSONResponse([deletion_item(deletion) for deletion in _databrain(request).organisation.deletions])


async def get_guest_tokens(request: Request) -> Response:
    """Return what the guest tokens so far let their holders see."""
    return JSONResponse([guest_token_item(token) for token in _databrain(request).organisation.guest_tokens.values()])


async def get_shown(request: Request) -> Response:
    """Tell whether the web component would show an embed; no documented route of the API does."""
    token, embed_id = (request.query_params.get(key, "") for key in ("token", "embedId"))
    why_not = _databrain(request).organisation.why_not_shown(token, embed_id, datetime.now(UTC))
    return JSONResponse({"whyNot": why_not})


async def put_seed(request: Request) -> Response:
    """Replace the whole organisation; the record of requests and the fault rules stay."""
    _databrain(request).organisation = organisation_of(request.state.body)
    return Response(status_code=DONE)


async def get_faults(request: Request) -> Response:
    """Return the fault rules as they stand."""
    return JSONResponse(_databrain(request).faults.rules())


async def put_faults(request: Request) -> Response:
    """Put other fault rules in force."""
    _databrain(request).faults.replace(request.state.body)
    return Response(status_code=DONE)


async def clear_faults(request: Request) -> Response:
    """Let everything work again."""
    _databrain(request).faults.clear()
    return Response(status_code=DONE)


async def invalid_input(_request: Request, error: Exception) -> Response:
    """Answer an `InvalidInputError`, which says what is wrong."""
    return JSONResponse({"error": {"message": str(error)}}, 400)


def _databrain(request: Request) -> Databrain:
    databrain: Databrain = request.app.state.databrain
    return databrain


ROUTES = Mount(
    CONTROL,
    routes=[
        Route("/requests", get_requests, methods=["GET"]),
        Route("/requests", forget_requests, methods=["DELETE"]),
        Route("/datamarts", get_datamarts, methods=["GET"]),
        Route("/datamarts/{name:path}", put_datamart, methods=["PUT"]),
        Route("/datamarts/{name:path}", delete_datamart, methods=["DELETE"]),
        Route("/embeds", get_embeds, methods=["GET"]),
        Route("/deletions", get_deletions, methods=["GET"]),
        Route("/guest-tokens", get_guest_tokens, methods=["GET"]),
        Route("/shown", get_shown, methods=["GET"]),
        Route("/seed", put_seed, methods=["PUT"]),
        Route("/faults", get_faults, methods=["GET"]),
        Route("/faults", put_faults, methods=["PUT"]),
        Route("/faults", clear_faults, methods=["DELETE"]),
    ],
)
