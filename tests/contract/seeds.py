"""Organisations for the local Databrain server to start from."""

from typing import Any

JsonObject = dict[str, Any]

SERVICE_TOKEN = "made-up-service-token-5f0c"
ROTATED_TOKEN = "made-up-service-token-9a7e"
PORTAL_KEY = "made-up-key-of-the-portal-1d"
EXPIRED_KEY = "made-up-key-of-the-portal-0c"
SECRETS = (SERVICE_TOKEN, ROTATED_TOKEN, PORTAL_KEY, EXPIRED_KEY)

CREATED_AT = "2024-01-15T10:30:00Z"


def seed(*names: str, apps: tuple[JsonObject, ...] = (), **server: object) -> JsonObject:
    """An organisation of these datamarts, in this order; `server` are the seed's own options."""
    return {
        "server": server,
        "serviceToken": SERVICE_TOKEN,
        "datasources": ["warehouse"],
        "datamarts": [datamart(name) for name in names],
        "dataApps": list(apps),
    }


def datamart(name: str, **fields: object) -> JsonObject:
    """A datamart with one table; `fields` are further ones of a seed's, or other values."""
    return {
        "name": name,
        "createdAt": CREATED_AT,
        "companyIntegration": {"name": "warehouse"},
        "datamartTables": [
            {"tableName": "orders", "datamartTableColumns": [{"columnName": "id", "datatype": "integer"}]}
        ],
        **fields,
    }


def data_app(name: str, *embeds: JsonObject, keys: tuple[str, ...] | None = None) -> JsonObject:
    """A data app with these embeds, and a key of its own unless told otherwise."""
    return {
        "name": name,
        "tokens": [{"key": key, "expired": key == EXPIRED_KEY} for key in keys or ()]
        if keys is not None
        else [{"key": f"made-up-key-of-{name.replace(' ', '-')}"}],
        "embeds": list(embeds),
    }


def numbered(count: int) -> list[str]:
    """Names, in order."""
    return [f"datamart-{number:02d}" for number in range(1, count + 1)]
