"""What the routes, the control interface and in-process tests share."""

from dataclasses import dataclass, field

from local.databrain.faults import Faults
from local.databrain.organisation import Organisation
from local.databrain.validation import JsonObject


@dataclass
class Databrain:
    """A server's state: the organisation, the fault rules and the requests it got, in order.

    A request is `{"method", "path", "query", "body", "token", "status"}`: the path and the query decoded, the body as
    JSON (its text where it is none, null where there is none), the token's kind and never its value, and the status
    of the answer (null while there is none, and for ever where the connection was cut).
    """

    organisation: Organisation
    url: str = ""
    faults: Faults = field(default_factory=Faults)
    requests: list[JsonObject] = field(default_factory=list)
