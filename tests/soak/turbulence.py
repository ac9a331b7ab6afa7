"""What goes wrong during a soak: AWS, Databrain, and the function's own processes."""

from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import psutil

from local.databrain.faults import ANY_ROUTE, Faults, RouteId, Rule
from local.databrain.state import Databrain
from local.proxy import Proxy

JsonObject = dict[str, Any]

# How each service says that it is asked too often (botocore's retry table knows each of these).
THROTTLED = {
    "dynamodb": "ProvisionedThroughputExceededException",
    "s3": "SlowDown",
    "scheduler": "ThrottlingException",
    "secretsmanager": "ThrottlingException",
    "sns": "ThrottlingException",
    "sqs": "RequestThrottled",
}
FAILING: JsonObject = {"error": {"code": "InternalError", "status": 500}}
SLOW: JsonObject = {"latency": {"min": 100, "max": 7000}}  # the function waits 5 s
RESET: JsonObject = {"reset": True}
CUT_UPLOAD: JsonObject = {"request": {"cut_upload": {"after_bytes": 1}}}
CUT_ANSWER: JsonObject = {"response": {"abort_frac": 0.5}}  # it was done, and nobody is told

ROUTES_OF_RESTORES = (RouteId.CREATE_DATAMART, RouteId.LIST_DATASOURCES)
ROUTES = (
    RouteId.LIST_DATAMARTS,
    RouteId.DELETE_DATAMART,
    RouteId.GET_SEMANTIC_LAYER,
    RouteId.LIST_DATA_APPS,
    RouteId.LIST_API_TOKENS,
    RouteId.LIST_EMBEDS,
    *ROUTES_OF_RESTORES,
)
# Not `phantom`, which says what is not so; an answer of 200 has to be of a shape that no true one has.
DATABRAIN_FAULTS: tuple[JsonObject, ...] = (
    {"fault": "status", "status": 429, "retryAfter": 1},
    {"fault": "status", "status": 500},
    {"fault": "status", "status": 503},
    {"fault": "status", "status": 401},
    {"fault": "throttle", "perSecond": 5},
    {"fault": "refused"},
    {"fault": "lost_answer"},
    {"fault": "slow", "seconds": 2},
    {"fault": "slow", "seconds": 12},  # the function waits 10 s
    {"fault": "broken_json"},
    {"fault": "html"},
    {"fault": "redirect", "location": "http://127.0.0.1:9/"},
    {"fault": "wrong_shape", "body": {"data": None, "error": None}},
    {"fault": "wrong_shape", "body": {"id": "another"}},
    {"fault": "endless", "times": 1},
)


class CountedFaults(Faults):
    """Fault rules that count how often they acted."""

    def __init__(self) -> None:
        super().__init__()
        self.fired: Counter[str] = Counter()

    def rule_for(self, route: RouteId) -> Rule | None:
        """Count a request."""
        rule = super().rule_for(route)
        if rule is not None:
            self.fired[rule.fault] += 1
        return rule


class Turbulence:
    """Changes what goes wrong, one step after the other."""

    def __init__(self, proxy: Proxy, databrain: Databrain, random: Random) -> None:
        self.killed = 0
        self.databrain_faults = databrain.faults = CountedFaults()
        self._proxy = proxy
        self._random = random

    def begin(self) -> None:
        """Let something fail from the first request on, however few steps a slow machine gets to."""
        self._strike_aws(len(THROTTLED))
        self._strike_databrain(3)

    def step(self) -> None:
        """Change one thing, or none; until a process has been killed, kill one, however few steps there are."""
        if not self.killed:
            self._kill()
        changes = {self._change_aws: 4, self._change_databrain: 4, self._kill: 3, self._leave: 19}
        (change,) = self._random.choices(list(changes), list(changes.values()))
        change()

    @property
    def has_struck(self) -> bool:
        """Whether a process was killed, and AWS and Databrain have failed, once at least."""
        return bool(self.killed and self._proxy.fired() and self.databrain_faults.fired)

    def end(self) -> None:
        """Let everything work again."""
        self._proxy.inject([])
        self.databrain_faults.clear()

    def _change_aws(self) -> None:
        self._strike_aws(self._random.randint(0, 3))

    def _change_databrain(self) -> None:
        self._strike_databrain(self._random.randint(0, 3))

    def _strike_aws(self, number: int) -> None:
        services = self._random.sample(list(THROTTLED), number)
        self._proxy.inject(
            [
                {"service": service, "probability": self._random.uniform(0.1, 0.6), **self._aws_fault(service)}
                for service in services
            ]
        )

    def _aws_fault(self, service: str) -> JsonObject:
        throttled = {"error": {"code": THROTTLED[service]}}
        return self._random.choice([throttled, FAILING, SLOW, RESET, CUT_UPLOAD, CUT_ANSWER])

    def _strike_databrain(self, number: int) -> None:
        faults = self._random.sample(DATABRAIN_FAULTS, number)
        self.databrain_faults.replace([self._databrain_rule(fault) for fault in faults])

    def _databrain_rule(self, fault: JsonObject) -> JsonObject:
        # A key that List Embeds refuses is no failure: it leaves the embeds undetermined.
        refuses = fault.get("status") == 401
        routes = [each for each in ROUTES if each != RouteId.LIST_EMBEDS] if refuses else [*ROUTES, ANY_ROUTE]
        options = {"times": self._random.randint(1, 40), "skip": self._random.randint(0, 5)}
        return {"route": self._random.choice(routes), **options, **fault}

    def _kill(self) -> None:
        processes = [
            process
            for process in psutil.process_iter(["environ"])
            if (process.info["environ"] or {}).get("AWS_ENDPOINT_URL") == self._proxy.endpoint
        ]
        if not processes:
            return
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            self._random.choice(processes).kill()
            self.killed += 1

    def _leave(self) -> None:
        pass
