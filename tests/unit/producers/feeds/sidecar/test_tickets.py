import pytest

from vecferry.producers.feeds.sidecar.tickets import FullError, Tickets
from vecferry.producers.feeds.writes import OpenWrite


class Write(OpenWrite):
    def __init__(self) -> None:
        self.left_open = 0

    def unknown(self) -> None:
        self.left_open += 1


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(**more: int) -> tuple[Tickets, Clock]:
    clock = Clock()
    return Tickets(35.0, clock=clock, **more), clock


def opened(tickets: Tickets, write: Write, ids: int = 1) -> str:
    tickets.reserve(ids)
    return tickets.open("docs", write, ids)


def test_a_ticket_is_taken_once() -> None:
    tickets, _ = made()
    name = opened(tickets, Write())
    assert tickets.take(name) is not None
    assert tickets.take(name) is None
    assert len(tickets) == 0


def test_a_ticket_expires_and_its_write_stays_open() -> None:
    tickets, clock = made()
    write = Write()
    name = opened(tickets, write)
    clock.now = 35.0
    assert tickets.find(name) is None
    assert write.left_open == 1


def test_a_renewed_ticket_expires_later_than_those_that_came_after_it() -> None:
    tickets, clock = made()
    first = opened(tickets, Write())
    clock.now = 10.0
    second = opened(tickets, Write())
    clock.now = 20.0
    tickets.renew(first)
    clock.now = 45.0
    assert tickets.expire() == 1
    assert tickets.find(second) is None
    assert tickets.find(first) is not None


def test_the_number_of_tickets_is_bounded_with_those_that_are_being_opened() -> None:
    tickets, clock = made(tickets_max=2)
    opened(tickets, Write())
    tickets.reserve(1)
    with pytest.raises(FullError):
        tickets.reserve(1)
    tickets.release(1)
    tickets.reserve(1)
    tickets.open("docs", Write(), 1)
    clock.now = 35.0
    tickets.reserve(1)  # those that expired make room


def test_the_number_of_ids_is_bounded() -> None:
    tickets, _ = made(ids_max=10)
    name = opened(tickets, Write(), 10)
    with pytest.raises(FullError):
        tickets.reserve(1)
    tickets.take(name)
    tickets.reserve(10)


def test_every_ticket_is_let_go_at_the_end() -> None:
    tickets, _ = made()
    writes = [Write(), Write()]
    for write in writes:
        opened(tickets, write)
    tickets.abandon()
    assert [write.left_open for write in writes] == [1, 1]
    assert len(tickets) == 0
