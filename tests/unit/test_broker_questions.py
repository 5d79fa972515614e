"""Questions to a broker: what is only "not now" is asked again, what is final is not."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from fraudctl.broker.topics import _Admin

NOBODY = "127.0.0.1:1"


def failing(code: int) -> "Future[str]":
    future: Future[str] = Future()
    future.set_exception(KafkaException(KafkaError(code)))
    return future


def answering(text: str) -> "Future[str]":
    future: Future[str] = Future()
    future.set_result(text)
    return future


def asked(answers: Iterator["Future[str]"]) -> str:
    return str(_Admin(NOBODY, 5.0).ask(lambda _seconds: {"question": next(answers)})["question"])


@pytest.mark.parametrize("code", [KafkaError._NOENT, KafkaError.LEADER_NOT_AVAILABLE, KafkaError._TRANSPORT])
def test_a_partition_without_a_known_leader_is_asked_for_again(code: int) -> None:
    assert asked(iter([failing(code), failing(code), answering("here")])) == "here"


def test_a_final_answer_is_not_asked_for_again() -> None:
    answers = iter([failing(KafkaError.TOPIC_AUTHORIZATION_FAILED), answering("never")])
    with pytest.raises(KafkaException):
        asked(answers)
    assert next(answers).result() == "never"
