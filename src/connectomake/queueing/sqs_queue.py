"""Amazon SQS, or a server that speaks it. What is no message goes to a second queue, of the same name with ``-aside``."""

import itertools
import json
from typing import Any

from botocore.exceptions import ClientError

from connectomake.errors import QueueError
from connectomake.queueing.messages import Drawn, OthersTaskError, Refusals, envelope, read_message
from connectomake.queueing.queues import SHOWN, Queue, explained

_KEPT = 100_000
_NUMBERS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible")


class SqsQueue(Queue):
    """A queue of SQS, which counts draws itself.

    Parameters
    ----------
    url
        As the user wrote it.
    client
        boto3's client.
    name
        The queue's name.
    """

    def __init__(self, url: str, client: Any, name: str) -> None:
        super().__init__(url)
        self._sqs = client
        self._address = str(client.get_queue_url(QueueName=name)["QueueUrl"])
        self._aside_name = f"{name.removesuffix('.fifo')[:74]}-aside"

    def _put(self, bodies: list[dict[str, Any]], at_once: int) -> int:
        waiting = iter(bodies)
        while batch := list(itertools.islice(waiting, at_once)):
            entries = [{"Id": str(i), "MessageBody": envelope(body)} for i, body in enumerate(batch)]
            answer = self._sqs.send_message_batch(QueueUrl=self._address, Entries=entries)
            for failed in answer.get("Failed", ()):
                raise QueueError(f"the queue {self.url} did not take a task: {failed.get('Message') or failed.get('Code')}")
        return len(bodies)

    def _draw(self, seconds: int, wait: int) -> Drawn | None:
        answer = self._sqs.receive_message(
            QueueUrl=self._address, AttributeNames=["ApproximateReceiveCount"], MaxNumberOfMessages=1,
            VisibilityTimeout=seconds, WaitTimeSeconds=min(wait, 20),
        )  # fmt: skip
        for message in answer.get("Messages", ()):
            ident, key, text = message["ReceiptHandle"], message["MessageId"], message.get("Body", "")
            draws = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
            try:
                return Drawn(ident, read_message(text), draws, key=key, text=text)
            except QueueError as error:
                return Drawn(ident, None, draws, str(error), isinstance(error, OthersTaskError), key, text)
        return None

    def _renew(self, drawn: Drawn, seconds: int) -> None:
        self._sqs.change_message_visibility(QueueUrl=self._address, ReceiptHandle=drawn.id, VisibilityTimeout=seconds)

    def _finish(self, drawn: Drawn) -> None:
        self._sqs.delete_message(QueueUrl=self._address, ReceiptHandle=drawn.id)

    def _set_aside(self, drawn: Drawn, reason: str) -> None:
        body = json.dumps({"id": drawn.key, "reason": reason, "message": drawn.text[:_KEPT]})
        try:
            address = self._aside_address() or self._sqs.create_queue(QueueName=self._aside_name)["QueueUrl"]
            self._sqs.send_message(QueueUrl=address, MessageBody=body)
        except ClientError as error:
            self._finish(drawn)
            raise QueueError(
                f"the queue {self._aside_name}, for bad messages, cannot be used ({error}); a message was deleted: {reason}"
            ) from error
        self._finish(drawn)

    def _aside_address(self) -> str | None:
        try:
            return str(self._sqs.get_queue_url(QueueName=self._aside_name)["QueueUrl"])
        except ClientError as error:
            if "NonExistent" in str(error.response["Error"]["Code"]) or "DoesNotExist" in str(error.response["Error"]["Code"]):
                return None
            raise

    def _refuse(self, drawn: Drawn, reason: str) -> None:  # noqa: ARG002
        self._renew(drawn, 0)

    def _numbers(self, address: str) -> tuple[int, int]:
        found = self._sqs.get_queue_attributes(QueueUrl=address, AttributeNames=list(_NUMBERS))["Attributes"]
        ready, delayed, leased = (int(found[name]) for name in _NUMBERS)
        return ready + delayed, leased

    def counts(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are leased: approximately, says Amazon."""
        with explained(self.url):
            waiting, leased = self._numbers(self._address)
        hidden = min(len(self.refused), waiting)
        return waiting - hidden, max(leased - (len(self.refused) - hidden), 0)

    def aside(self) -> Refusals:
        """Return what was put aside."""
        with explained(self.url):
            address = self._aside_address()
            if address is None:
                return Refusals(0, [], self._aside_name)
            number = sum(self._numbers(address))
            found = (
                self._sqs.receive_message(QueueUrl=address, MaxNumberOfMessages=SHOWN, VisibilityTimeout=0) if number else {}
            )
        return Refusals(number, [_noted(message.get("Body", "")) for message in found.get("Messages", ())], self._aside_name)

    def left_to_others(self) -> Refusals:
        """Return nothing: SQS keeps no notes."""
        return Refusals(0, [], "")

    def purge(self) -> None:
        """Delete all messages, those put aside too."""
        with explained(self.url):
            self._sqs.purge_queue(QueueUrl=self._address)
        self.purge_aside()

    def purge_aside(self) -> None:
        """Delete the messages put aside."""
        with explained(self.url):
            address = self._aside_address()
            if address is not None:
                self._sqs.purge_queue(QueueUrl=address)


def _noted(body: str) -> tuple[str, str]:
    try:
        value = json.loads(body)
        texts = str(value["id"]), str(value["reason"])
    except (ValueError, KeyError, TypeError, RecursionError):
        texts = "a message", "no reason was noted"
    name, reason = ("".join(c if c.isprintable() else "?" for c in text)[:500] for text in texts)
    return name, reason
