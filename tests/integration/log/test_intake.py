from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from vecferry.errors import HaltError
from vecferry.log.intake import Committed, Intake, NotOwner, Raw
from vecferry.log.publish import Publisher
from vecferry.testing.logs import Log, fresh_log
from vecferry.testing.waiting import wait_until

Join = Callable[..., Intake]


def fill(log: Log, records: int) -> None:
    """Publish so many records, the same number to each of three partitions."""
    publisher = Publisher(log.connection)
    for number in range(records):
        publisher.publish(
            log.topics.events, b"%d" % number, key=b"k%d" % number, partition=number % 3
        )
    publisher.close()


def read(member: Intake, records: int) -> list[Raw]:
    found: list[Raw] = []
    wait_until(lambda: bool(found.extend(member.poll(50, 0.5)) or len(found) >= records))
    return found


def by_partition(records: list[Raw]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for record in records:
        found[record.partition].append(record.offset)
    return dict(found)


def test_a_group_reads_everything_in_order_from_its_first_commit(log: Log, joined: Join) -> None:
    fill(log, 300)
    member = joined(log)
    records = read(member, 300)
    assert by_partition(records) == {p: list(range(100)) for p in range(3)}
    assert {(r.topic, r.key, r.value) for r in records} == {
        (log.topics.events, b"k%d" % n, b"%d" % n) for n in range(300)
    }
    assert member.watermark(0) <= 100
    assert member.poll(50, 0.0) == []


def test_a_poll_is_bounded(log: Log, joined: Join) -> None:
    fill(log, 300)
    member, sizes = joined(log), list[int]()
    wait_until(lambda: bool(sizes.append(len(member.poll(7, 0.5))) or sum(sizes) == 300))
    assert max(sizes) == 7


def test_a_successor_goes_on_where_its_group_committed(log: Log, joined: Join) -> None:
    fill(log, 30)
    first = joined(log)
    read(first, 30)
    first.commit({0: Committed(4, "folded to 2"), 2: Committed(10)})
    assert first.committed(0) == Committed(4, "folded to 2")
    first.close()
    second = joined(log)
    assert by_partition(read(second, 16)) == {0: [4, 5, 6, 7, 8, 9], 1: list(range(10))}
    kept = "" if log.connection.embedded else "folded to 2"  # it drops the text
    assert second.committed(0) == Committed(4, kept)
    assert second.committed(2).offset == 10


def test_a_missing_first_commit_stops_the_worker(log: Log) -> None:
    member = Intake(log.connection, log.topics.events, "nobody", **quiet())
    with pytest.raises(HaltError, match=r"nobody has no commit.*vecferry init"):
        read(member, 1)
    with pytest.raises(HaltError, match="no commit"):
        member.poll(1, 0)
    member.close()


@pytest.mark.kafka
def test_a_place_that_the_log_no_longer_holds_stops_the_worker(joined: Join) -> None:
    log = fresh_log("kafka")
    fill(log, 30)
    gone = [TopicPartition(log.topics.events, 1, 5)]
    admin = log.connection.admin()
    for future in admin.delete_records(gone).values():
        future.result()
    member = joined(log)
    with pytest.raises(HaltError, match=r"events \[1\] no longer holds.*rescan"):
        read(member, 31)


@pytest.mark.kafka
def test_a_place_beyond_the_end_of_the_log_stops_the_worker(joined: Join) -> None:
    log = fresh_log("kafka")
    fill(log, 30)
    first = joined(log)
    read(first, 30)
    first.commit({2: Committed(1_000)})
    first.close()
    with pytest.raises(HaltError, match=r"events \[2\] no longer holds"):
        read(joined(log), 31)


def test_seek_and_pause_in_assigned_hold_before_the_first_record(log: Log, joined: Join) -> None:
    fill(log, 30)
    held: list[Intake] = []

    def assigned(partitions: list[int]) -> None:
        held[0].seek(0, 7)
        held[0].pause([1])

    held.append(joined(log, assigned=assigned))
    records = read(held[0], 13)
    assert by_partition(records) == {0: [7, 8, 9], 2: list(range(10))}
    held[0].resume([1])
    assert by_partition(read(held[0], 10)) == {1: list(range(10))}


def test_seek_goes_back_and_keeps_a_pause(log: Log, joined: Join) -> None:
    fill(log, 30)
    member = joined(log)
    read(member, 30)
    member.pause([1])
    member.seek(1, 8)
    member.seek(2, 9)
    assert by_partition(read(member, 1)) == {2: [9]}
    member.resume([1])
    assert by_partition(read(member, 2)) == {1: [8, 9]}


def test_a_paused_partition_returns_nothing_until_it_is_resumed(log: Log, joined: Join) -> None:
    fill(log, 3)
    member = joined(log)
    read(member, 3)
    member.pause([0])
    fill(log, 30)
    assert set(by_partition(read(member, 20))) == {1, 2}
    assert member.poll(50, 0.3) == []
    member.resume([0])
    assert by_partition(read(member, 10)) == {0: list(range(1, 11))}


def test_what_a_reaction_raises_comes_out_of_every_poll(log: Log, joined: Join) -> None:
    def assigned(partitions: list[int]) -> None:
        raise HaltError("the claim was refused")

    member = joined(log, assigned=assigned)
    for _ in range(2):
        with pytest.raises(HaltError, match="claim was refused"):
            read(member, 1)


def test_members_share_a_topic_and_each_keeps_what_it_keeps(log: Log, joined: Join) -> None:
    told: list[tuple[str, str, tuple[int, ...]]] = []

    def teller(name: str) -> dict[str, Any]:
        def tell(what: str) -> Callable[[list[int]], None]:
            return lambda partitions: told.append((name, what, tuple(sorted(partitions))))

        return {what: tell(what) for what in ("assigned", "revoked", "lost")}

    first = joined(log, **teller("first"))
    wait_until(lambda: not first.poll(10, 0.2) and len(first.owned) == 3)
    second = joined(log, **teller("second"))

    def both() -> bool:
        first.poll(10, 0.1)
        second.poll(10, 0.1)
        return bool(first.owned and second.owned) and len(first.owned | second.owned) == 3

    wait_until(both)
    moved = tuple(sorted(second.owned))
    assert told == [
        ("first", "assigned", (0, 1, 2)),
        ("first", "revoked", moved),
        ("second", "assigned", moved),
    ]
    with pytest.raises(NotOwner):
        first.commit({moved[0]: Committed(0)})
    fill(log, 300)
    taken: list[Raw] = []
    assert by_partition(read(second, 100 * len(moved))) == {p: list(range(100)) for p in moved}
    wait_until(
        lambda: bool(taken.extend(first.poll(50, 0.2)) or len(taken) == 100 * len(first.owned))
    )
    assert set(by_partition(taken)) == set(first.owned)
    second.close()
    wait_until(lambda: bool(first.poll(10, 0.2)) or len(first.owned) == 3)


def test_revoked_may_commit_when_a_member_leaves(log: Log, joined: Join) -> None:
    fill(log, 30)
    held: list[Intake] = []

    def revoked(partitions: list[int]) -> None:
        held[0].commit({partition: Committed(6) for partition in partitions})

    held.append(joined(log, revoked=revoked))
    read(held[0], 30)
    held[0].close()
    assert by_partition(read(joined(log), 12)) == {p: [6, 7, 8, 9] for p in range(3)}


@pytest.mark.kafka
def test_a_worker_that_slept_past_its_session_can_commit_nothing_and_is_told(joined: Join) -> None:
    log = fresh_log("kafka", session_timeout_s=5.0, kafka={"max.poll.interval.ms": 5_000})
    fill(log, 30)
    finished, lost = list[int](), list[int]()
    sleeper = joined(log, revoked=finished.extend, lost=lost.extend)
    read(sleeper, 30)
    # no poll of the sleeper: its partitions go to the other
    other = joined(log)
    wait_until(lambda: bool(other.poll(50, 0.2)) or len(other.owned) == 3)
    with pytest.raises(NotOwner):
        sleeper.commit({0: Committed(9)})
    wait_until(lambda: bool(sleeper.poll(50, 0.1)) or len(lost) == 3)
    assert sorted(lost) == [0, 1, 2]
    assert finished == []
    assert other.committed(0).offset == 0


def quiet() -> Any:
    return dict.fromkeys(("assigned", "revoked", "lost"), lambda partitions: None)
