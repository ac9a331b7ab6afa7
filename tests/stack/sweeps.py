"""What a test of sweeps works with: the owner's policy, sweeps by hand, what is heard of them, and their reports."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import fastjsonschema

from local.stack import SWEEP, Invocation, PublishedResult
from tests.stack.listener import Listener
from tests.stack.scene import EVENTS, MAPS_BUCKET, POLICY_KEY, JsonObject, Scene

follows_schema = fastjsonschema.compile(json.loads((EVENTS / "schemas" / "datamart-sweep-report.json").read_bytes()))

RULE: JsonObject = {
    "name": "trials",
    "owner": "growth@example.com",
    "reason": "trials end after 30 days",
    "names": ["trial-*"],
    "retireAfter": "14 days",
}


class Sweeps:
    """One test's sweeps: each begins with datamarts of its own, and a rule that names them."""

    def __init__(self, scene: Scene, listener: Listener) -> None:
        listener.forget()
        self.scene = scene
        self.listener = listener
        self.family = f"trial-{uuid4()}"

    def datamart(self, name: str, *, days: int = 90, **fields: Any) -> str:  # noqa: ANN401 -- any field of the seed
        """Add a datamart of this test's, created and updated so many days ago, and return its name."""
        moment = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        times = {"createdAt": moment, "updatedAt": moment}
        return self.scene.datamart(f"{self.family}-{name}", **{**times, **fields})

    def rule(self, **fields: Any) -> JsonObject:  # noqa: ANN401 -- any field of a rule
        """A rule that names all datamarts of this test's."""
        return {**RULE, "names": [f"{self.family}-*"], **fields}

    def policy(self, *rules: JsonObject, **fields: Any) -> None:  # noqa: ANN401 -- any field of the policy
        """Put a policy of these rules that is no dry run, or as `fields` say."""
        self.put({"formatVersion": "1", "dryRun": False, "rules": list(rules), **fields})

    def put(self, policy: object) -> None:
        """Put the owner's policy: JSON, or bytes that are none; None takes it away."""
        s3 = self.scene.stack.s3
        if policy is None:
            s3.delete_object(Bucket=MAPS_BUCKET, Key=POLICY_KEY)
            return
        body = policy if isinstance(policy, bytes) else json.dumps(policy).encode()
        s3.put_object(Bucket=MAPS_BUCKET, Key=POLICY_KEY, Body=body)

    def invoke(self, event: object = None) -> Invocation:
        """Sweep by hand."""
        return self.scene.stack.invoke({} if event is None else event, function=SWEEP)

    def sweep(self) -> JsonObject:
        """Sweep by hand; what is returned is what is published, and what is kept."""
        invocation = self.invoke()
        assert not invocation.error, invocation.payload
        report = self.published().document
        assert invocation.payload == report
        return report

    def published(self) -> PublishedResult:
        """Wait for the next report as SNS delivers it: it keeps the contract, and is kept whole."""
        (result,) = self.scene.eventually(self._next_report)
        report = result.document
        follows_schema(report)
        assert result.attributes == {"kind": "sweep", "environment": "dev"}
        assert result.subject is not None
        assert result.subject.startswith("Sweep ")
        assert result.subject.endswith(" [dev]")
        assert report["report"]["bucket"] == self.scene.stack.outputs["EvidenceBucketName"]
        assert self.scene.kept(report["report"]["key"]).document == report
        return result

    def _next_report(self) -> list[PublishedResult]:
        """Other functions that hear of sweeps publish, too."""
        return [result for result in self.scene.stack.results(wait_seconds=1) if result.attributes.get("kind")]

    def asked(self) -> dict[str, JsonObject]:
        """What was asked for in this test, as it is kept, by the datamart's name."""
        kept = [self.scene.kept(key).document for key in self.scene.new_objects() if key.startswith("sweeps/asked/")]
        return {detail["datamartName"]: detail for detail in kept}

    def keep(self, detail: JsonObject, file_name: str, **told: Any) -> None:  # noqa: ANN401 -- any JSON
        """Keep an object of a retirement, as the function writes it that carries it out."""
        name = quote(detail["datamartName"], safe="")
        self.scene.stack.s3.put_object(
            Bucket=self.scene.stack.outputs["EvidenceBucketName"],
            Key=f"retirements/{name}/{detail['retirementId']}/{file_name}",
            Body=json.dumps(told).encode(),
        )
