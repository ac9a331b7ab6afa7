"""What comes in and is no request, and what the rejection says of it."""

from collections.abc import Mapping
from typing import Any

Fields = dict[str, Any]

# What goes over the fields of a valid request whose environment is `dev`.
BAD_DETAILS: Mapping[str, tuple[Fields, str]] = {
    "datamartName: null": ({"datamartName": None}, "detail.datamartName must be"),
    "datamartName: number": ({"datamartName": 5}, "detail.datamartName must be"),
    "datamartName: object": ({"datamartName": {"name": "sales"}}, "detail.datamartName must be"),
    "datamartName: empty": ({"datamartName": ""}, "detail.datamartName must be"),
    "datamartName: too long": ({"datamartName": "n" * 257}, "detail.datamartName must be"),
    "datamartName: control character": ({"datamartName": "a\nb"}, "detail.datamartName must be"),
    "datamartName: lone surrogate": ({"datamartName": "a\ud800b"}, "detail.datamartName must be"),
    "environment: list": ({"environment": ["dev"]}, "detail.environment must be"),
    "environment: another one": ({"environment": "prod"}, 'detail.environment is "prod"'),
    "environment: lone surrogate": ({"environment": "dev\udfff"}, "detail.environment must be"),
    "requestedBy: boolean": ({"requestedBy": True}, "detail.requestedBy must be"),
    "requestedBy: too long": ({"requestedBy": "r" * 257}, "detail.requestedBy must be"),
    "requestedBy: lone surrogate": ({"requestedBy": "\udc00"}, "detail.requestedBy must be"),
    "reason: empty": ({"reason": ""}, "detail.reason must be"),
    "reason: too long": ({"reason": "r" * 1001}, "detail.reason must be"),
    "retirementId: path": ({"retirementId": "../other"}, "detail.retirementId must be"),
    "retirementId: line end": ({"retirementId": "offboard-acme\n"}, "detail.retirementId must be"),
    "retirementId: too long": ({"retirementId": "i" * 129}, "detail.retirementId must be"),
    "backup: text": ({"backup": "false"}, "detail.backup must be true or false"),
    "dryRun: text": ({"dryRun": "true"}, "detail.dryRun must be true or false"),
    "dryRun: number": ({"dryRun": 1}, "detail.dryRun must be true or false"),
    "dependents: unknown": ({"dependents": "allow"}, 'detail.dependents must be "block" or "ignore"'),
    "reviewedEmbeds: text": ({"reviewedEmbeds": "overview"}, "detail.reviewedEmbeds must be"),
    "reviewedEmbeds: numbers": ({"reviewedEmbeds": [1]}, "detail.reviewedEmbeds"),
    "reviewedEmbeds: too many": ({"reviewedEmbeds": ["e"] * 1001}, "detail.reviewedEmbeds must be"),
    "planId: number": ({"planId": 1}, "detail.planId must be"),
    "retireAt: words": ({"retireAt": "tomorrow"}, "detail.retireAt must be"),
    "retireAt: no offset": ({"retireAt": "2026-03-01T12:00:00"}, "detail.retireAt must be"),
    "retireAt: to be scheduled": ({"retireAt": "2999-03-01T12:00:00Z"}, "at most 366 days ahead"),
    "unknown field": ({"dryRum": True}, "dryRum"),
    "unknown field, lone surrogate": ({"\ud800": True}, "unknown field"),
}
BAD_ENVELOPES: Mapping[str, tuple[Fields, str]] = {
    "detail: text": ({"detail": "retire sales"}, "detail must be an object"),
    "detail: JSON text": ({"detail": '{"datamartName": "sales"}'}, "detail must be an object"),
    "detail: list": ({"detail": []}, "detail must be an object"),
    "detail: null": ({"detail": None}, "detail must be an object"),
    "another detail-type": ({"detail-type": "Datamart Renamed"}, "detail-type must be"),
    "id: number": ({"id": 7}, "id must be"),
    "id: path": ({"id": "../../retirements/x", "detail": {}}, "detail must have the field"),
    "time: words": ({"time": "now"}, "time must be"),
    "time: number": ({"time": 1767225600}, "time must be"),
}
BAD_BODIES: Mapping[str, tuple[str, str]] = {
    "text": ("retire sales", "the body is not valid JSON"),
    "broken JSON": ('{"detail": {"datamartName": "sales"', "the body is not valid JSON"),
    "two documents": ("{}{}", "the body is not valid JSON"),
    "JSON text": ('"retire sales"', "the event must be a JSON object"),
    "JSON list": ("[]", "the event must be a JSON object"),
    "JSON null": ("null", "the event must be a JSON object"),
    "JSON number": ("1e999", "the body is not valid JSON"),
    "NaN": ('{"detail": NaN}', "the body is not valid JSON"),
    "one key twice": ('{"detail": {"dryRun": true, "dryRun": false}}', "a duplicate key"),
    "nested deeply": ("[" * 50_000, "nested deeper than 100 levels"),
    "ten thousand digits": ('{"id": ' + "7" * 10_000 + "}", "a number is too long"),
    "one key twice, once escaped": ('{"dryRun": true, "dry\\u0052un": false}', "a duplicate key"),
    "prototype": ('{"__proto__": {"id": "x"}}', "the event must have the field id"),
    "an SQS event": ('{"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}', "the event must have the field id"),
    "empty object": ("{}", "the event must have the field id, detail-type, time, detail"),
}
REQUIRED = ("datamartName", "environment", "requestedBy", "reason")
