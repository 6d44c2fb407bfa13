import pytest
from confluent_kafka import TopicPartition

from vecferry.testing.captured import Captured
from vecferry.testing.waiting import wait_until

pytestmark = pytest.mark.parametrize("captured", [{"type": "scan"}], indirect=True)


def test_a_source_with_nothing_before_it_is_followed(captured: Captured) -> None:
    captured.put(*range(2_500), n=0)
    with captured.capturing(), captured.feeding():
        captured.await_equal()
        captured.put(*range(50), n=1)
        captured.put("new", n=2)
        captured.delete(*range(60, 80))
        captured.await_equal()
        captured.put(*range(60, 70), n=0)
        captured.await_equal()


def test_what_changed_while_no_feed_ran_is_found_by_the_next_one(captured: Captured) -> None:
    captured.put(1, 2, 3, n=0)
    with captured.capturing():
        with captured.feeding():
            captured.await_equal()
        captured.put(1, n=1)
        captured.delete(2)
        with captured.feeding():
            captured.await_equal()


def test_it_begins_before_the_capture_worker_and_goes_on_once_there_is_one(
    captured: Captured,
) -> None:
    captured.put(1, 2, n=0)
    with captured.feeding():
        look = captured.log.connection.consumer("look", auto_offset_reset="earliest")
        parts = [TopicPartition(captured.log.topics.hints, number) for number in range(3)]
        wait_until(lambda: any(look.get_watermark_offsets(one, timeout=30)[1] for one in parts))
        look.close()
        captured.put(1, n=1)
        with captured.capturing():
            captured.await_equal()


def test_it_is_a_feed_in_control(captured: Captured) -> None:
    with captured.feeding():
        captured.control.read_to_end()
        (record,) = captured.control.latest("process").values()
        assert record.body["role"] == "feed"


def test_a_paused_migration_is_left_alone(captured: Captured) -> None:
    captured.control.append("pause", "all", {"paused": True})
    captured.control.read_to_end()
    captured.put(1, n=0)
    with captured.capturing(), captured.feeding():
        captured.control.append("pause", "all", {"paused": False})
        captured.await_equal()
