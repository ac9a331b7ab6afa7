"""Seeds of any size, for benchmarks."""

from local.databrain.validation import JsonObject

SERVICE_TOKEN = "made-up-service-token-of-the-estate"  # noqa: S105 - made up, and says so


def estate(datamarts: int, data_apps: int, embeds_per_app: int = 3) -> JsonObject:
    """Return a seed with datamarts `tenant-00000`, `tenant-00001` ... and data apps `app-000`, `app-001` ...

    Each data app has one key. Its embeds `app-000-embed-0` ... use the first datamarts in turn, and each says in its
    metadata which one.
    """
    return {
        "serviceToken": SERVICE_TOKEN,
        "datasources": ["warehouse"],
        "datamarts": [_datamart(number) for number in range(datamarts)],
        "dataApps": [_data_app(number, datamarts, embeds_per_app) for number in range(data_apps)],
    }


def datamart_name(number: int) -> str:
    """Return the name of one of the estate's datamarts, counted from 0 in the order of the list."""
    return f"tenant-{number:05d}"


def _datamart(number: int) -> JsonObject:
    return {
        "name": datamart_name(number),
        "createdAt": "2024-01-15T10:30:00.000Z",
        "companyIntegration": {"name": "warehouse"},
        "datamartTables": [
            _table("orders", ["id", "customer_id", "status", "total", "ordered_at"]),
            _table("customers", ["id", "name", "country", "signed_up_at"]),
        ],
        "datamartRelationships": [
            {
                "parentTableName": "orders",
                "parentColumnName": "customer_id",
                "childTableName": "customers",
                "childColumnName": "id",
                "relationshipName": "orders_to_customers",
                "cardinality": "ManyToOne",
                "join": "LEFT JOIN",
            }
        ],
    }


def _table(name: str, columns: list[str]) -> JsonObject:
    return {
        "schemaName": "public",
        "tableName": name,
        "clientColumn": "tenant_id",
        "datamartTableColumns": [{"columnName": column, "datatype": "varchar"} for column in columns],
    }


def _data_app(number: int, datamarts: int, embeds: int) -> JsonObject:
    name = f"app-{number:03d}"
    uses = [datamart_name((number * embeds + embed) % datamarts) for embed in range(embeds)]
    return {
        "name": name,
        "createdAt": "2024-01-20T09:00:00.000Z",
        "tokens": [{"name": "Back end", "key": f"made-up-data-app-key-of-{name}"}],
        "embeds": [
            {"embedId": f"{name}-embed-{embed}", "datamart": datamart, "metadata": {"datamartName": datamart}}
            for embed, datamart in enumerate(uses)
        ],
    }
