from vecferry.consumers.sending import Deadline, boot_time_s


def test_polls_move_the_deadline_on_while_they_come_in_time() -> None:
    deadline = Deadline(6.0)
    assert deadline.is_past(0.0)
    deadline.proven(0.0)
    assert deadline.polled(1.5)
    assert deadline.polled(3.0)
    assert not deadline.is_past(5.0)


def test_a_poll_after_the_deadline_proves_nothing() -> None:
    deadline = Deadline(6.0)
    deadline.proven(0.0)
    assert not deadline.polled(10.0)
    assert deadline.is_past(10.0)
    deadline.proven(9.5)
    assert not deadline.is_past(10.0)


def test_the_clock_goes_forward() -> None:
    assert boot_time_s() <= boot_time_s()
